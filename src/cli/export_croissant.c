/* Croissant 1.1 of the corpus: schema.org's Dataset with MLCommons' words for files and records (JSON-LD). */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/plural.h"
#include "cli/export.h"

/* The context of the specification. */
static json_t *context(void)
{
    static const char *const plain[][2] = {
        {"@language", "en"}, {"@vocab", "https://schema.org/"}, {"sc", "https://schema.org/"},
        {"cr", "http://mlcommons.org/croissant/"}, {"rai", "http://mlcommons.org/croissant/RAI/"},
        {"dct", "http://purl.org/dc/terms/"}, {"prov", "http://www.w3.org/ns/prov#"},
        {"conformsTo", "dct:conformsTo"}, {"arrayShape", "cr:arrayShape"}, {"citeAs", "cr:citeAs"},
        {"column", "cr:column"}, {"containedIn", "cr:containedIn"}, {"equivalentProperty", "cr:equivalentProperty"},
        {"extract", "cr:extract"}, {"field", "cr:field"}, {"fileProperty", "cr:fileProperty"},
        {"fileObject", "cr:fileObject"}, {"fileSet", "cr:fileSet"}, {"format", "cr:format"},
        {"includes", "cr:includes"}, {"isArray", "cr:isArray"}, {"isLiveDataset", "cr:isLiveDataset"},
        {"jsonPath", "cr:jsonPath"}, {"key", "cr:key"}, {"md5", "cr:md5"}, {"parentField", "cr:parentField"},
        {"path", "cr:path"}, {"recordSet", "cr:recordSet"}, {"references", "cr:references"}, {"regex", "cr:regex"},
        {"repeated", "cr:repeated"}, {"replace", "cr:replace"}, {"samplingRate", "cr:samplingRate"},
        {"separator", "cr:separator"}, {"source", "cr:source"}, {"subField", "cr:subField"},
        {"transform", "cr:transform"}};
    json_t *c = json_pack("{s:{s:s,s:s},s:{s:s,s:s},s:{s:s,s:s},s:{s:s},s:{s:s}}", "data", "@id", "cr:data", "@type",
                          "@json", "dataType", "@id", "cr:dataType", "@type", "@vocab", "examples", "@id",
                          "cr:examples", "@type", "@json", "name", "@container", "@language", "description",
                          "@container", "@language");
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        export_set(&c, plain[i][0], json_string(plain[i][1]));
    return c;
}

static json_t *file_object(const char *name, const char *format, json_int_t bytes, const char *sha256)
{
    char size[32];
    snprintf(size, sizeof size, "%lld B", (long long)bytes);
    json_t *v = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "@type", "cr:FileObject", "@id", name, "name", name,
                          "contentUrl", name, "encodingFormat", format, "sha256", sha256);
    if (bytes >= 0)
        export_set(&v, "contentSize", json_string(size));
    return v;
}

/* The files, and behind them the set of lines that is in the compressed ones. */
static int distribution(json_t **list, const struct export *x, struct err *e)
{
    const json_t *files = json_object_get(corpus_manifest(x->corpus), "files");
    json_t *in = json_array();
    struct buf path = {0};
    struct digest h;
    char hex[65];
    int rc = file_join(&path, x->corpus_dir, "manifest.json", e);
    if (rc == 0)
        rc = sha256_file(&h, path.p, e);
    if (rc == 0) {
        digest_hex(hex, &h);
        export_push(list, file_object("manifest.json", "application/json", -1, hex));
    }
    for (size_t i = 0; rc == 0 && i < json_array_size(files); i++) {
        const json_t *f = json_array_get(files, i);
        const char *name = "", *sha = "";
        int64_t bytes = 0;
        rc = json_get_str(&name, f, "name", false, NULL, path.p, e);
        if (rc == 0)
            rc = json_get_str(&sha, f, "sha256", false, NULL, path.p, e);
        if (rc == 0)
            rc = json_get_int(&bytes, f, "bytes", 0, INT64_MAX, false, 0, path.p, e);
        if (rc || strncmp(name, "docs-", 5) != 0)
            continue;
        export_push(list, file_object(name, "application/zstd", bytes, sha));
        export_push(&in, json_pack("{s:s}", "@id", name));
    }
    export_push(list, json_pack("{s:s,s:s,s:s,s:o,s:s,s:s}", "@type", "cr:FileSet", "@id", "docs", "name",
                                          "docs", "containedIn", in, "encodingFormat", "application/jsonlines",
                                          "includes", "docs-*.jsonl"));
    buf_release(&path);
    return rc;
}

static json_t *record_set(void)
{
    static const char *const field[][2] = {{"id", "Name of the document."}, {"text", "Its text, in normal form C."},
                                           {"source", "Where it is from, as its record said."},
                                           {"license", "Its licence, as its record said."},
                                           {"lang", "Its language."}};
    json_t *a = json_array();
    for (size_t i = 0; i < sizeof field / sizeof *field; i++) {
        char id[40], at[20];
        snprintf(id, sizeof id, "documents/%s", field[i][0]);
        snprintf(at, sizeof at, "$.%s", field[i][0]);
        export_push(&a, json_pack("{s:s,s:s,s:s,s:s,s:s,s:{s:{s:s},s:{s:s}}}", "@type", "cr:Field", "@id", id,
                                           "name", field[i][0], "description", field[i][1], "dataType", "sc:Text",
                                           "source", "fileSet", "@id", "docs", "extract", "jsonPath", at));
    }
    return json_pack("[{s:s,s:s,s:s,s:s,s:{s:s},s:o}]", "@type", "cr:RecordSet", "@id", "documents", "name",
                     "documents", "description", "The documents, one a line, in the order of the corpus.", "key", "@id",
                     "documents/id", "field", a);
}

static json_t *licenses(const struct census_table *t)
{
    json_t *a = json_array();
    for (size_t i = 0; i < t->n; i++)
        export_push(&a, json_string(t->row[i].name));
    return a;
}

/* What the corpus was built from, by content. */
static json_t *derived(const struct export *x)
{
    const json_t *in = json_object_get(corpus_manifest(x->corpus), "inputs");
    json_t *a = json_array();
    for (size_t i = 0; i < json_array_size(in); i++) {
        char id[100];
        const char *sha = json_string_value(json_object_get(json_array_get(in, i), "sha256"));
        snprintf(id, sizeof id, "urn:sha256:%.64s", sha ? sha : "");
        export_push(&a, json_pack("{s:s}", "@id", id));
    }
    return a;
}

int export_croissant(struct buf *d, const struct export *x, struct err *e)
{
    const struct genesis *g = &x->b->genesis;
    char urn[100], version[40], about[400], cite[200];
    json_t *files = json_array();
    snprintf(urn, sizeof urn, "urn:dokja:corpus:%s", x->corpus_root);
    snprintf(version, sizeof version, "1.0.0+%.16s", x->corpus_root);
    snprintf(about, sizeof about, "%llu document%s, %llu byte%s of text, that a training run committed to before "
             "its first step: Merkle root %s, GENESIS %s.", (unsigned long long)g->corpus_docs,
             PLURAL(g->corpus_docs), (unsigned long long)g->corpus_bytes, PLURAL(g->corpus_bytes), x->corpus_root,
             x->genesis);
    snprintf(cite, sizeof cite, "@misc{dokja-%.16s, title = {Training corpus}, note = {Merkle root %s}}",
             x->corpus_root, x->corpus_root);
    int rc = distribution(&files, x, e);
    if (rc) {
        json_decref(files);
        return rc;
    }
    json_t *v = json_pack("{s:o,s:s,s:s,s:s,s:s,s:s,s:o,s:s,s:{s:s,s:s},s:s,s:o,s:o,s:o}", "@context", context(),
                          "@type", "sc:Dataset", "conformsTo", "http://mlcommons.org/croissant/1.1", "name",
                          "training corpus", "description", about, "citeAs", cite, "license",
                          licenses(&x->census->table[CENSUS_LICENSE]), "url", x->url ? x->url : urn, "creator", "@type",
                          "sc:Organization", "name", g->holder, "version", version, "distribution", files, "recordSet",
                          record_set(), "prov:wasDerivedFrom", derived(x));
    json_t *at = export_time(g->created);
    if (json_is_string(at))
        export_set(&v, "datePublished", json_stringn(json_string_value(at), 10));
    json_decref(at);
    return export_json(d, v, e);
}
