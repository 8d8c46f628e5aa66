/* CycloneDX 1.6, a bill of materials of a model: ECMA-424, and its JSON schema bom-1.6. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/export.h"

static json_t *property(const char *name, const char *value)
{
    return json_pack("{s:s,s:s}", "name", name, "value", value);
}

static void add_count(json_t **list, const char *name, uint64_t v)
{
    char s[24];
    snprintf(s, sizeof s, "%" PRIu64, v);
    export_push(list, property(name, s));
}

static json_t *files(const struct final *f)
{
    json_t *a = json_array();
    for (uint64_t i = 0; i < f->n_files; i++) {
        char hex[65];
        digest_hex(hex, &f->file[i].sha256);
        export_push(&a, json_pack("{s:s,s:s,s:s,s:[{s:s,s:s}]}", "type", "file", "bom-ref", f->file[i].name,
                                           "name", f->file[i].name, "hashes", "alg", "SHA-256", "content", hex));
    }
    return a;
}

/* Of the file that holds the weights. */
static json_t *weights_hash(const struct final *f)
{
    for (uint64_t i = 0; i < f->n_files; i++)
        if (strcmp(f->file[i].name, "model.safetensors") == 0) {
            char hex[65];
            digest_hex(hex, &f->file[i].sha256);
            return json_pack("[{s:s,s:s}]", "alg", "SHA-256", "content", hex);
        }
    return json_array();
}

static json_t *pedigree(const struct genesis *g)
{
    json_t *a = json_array();
    for (int i = 0; i < g->n_ancestors; i++) {
        char hex[65];
        digest_hex(hex, &g->ancestor[i]);
        export_push(&a, json_pack("{s:s,s:s,s:[{s:s,s:s}]}", "type", "machine-learning-model", "name",
                                           "ancestor", "hashes", "alg", "SHA-256", "content", hex));
    }
    return json_pack("{s:o,s:s}", "ancestors", a, "notes", g->n_ancestors
                     ? "GENESIS of the run's ledger names these."
                     : "None: trained from random weights. The ledger commits to the seed they follow from, and "
                       "dokja ledger verify makes them again.");
}

static json_t *metrics(const struct export *x)
{
    const struct final *f = &x->b->final;
    json_t *a = json_array();
    const struct {
        const char *type;
        double v;
    } m[] = {{"bits per byte", f->bits_per_byte}, {"bits per character", f->bits_per_char}};
    for (size_t i = 0; i < sizeof m / sizeof *m; i++) {
        char s[40];
        snprintf(s, sizeof s, "%.4f", m[i].v);
        if (isfinite(m[i].v))
            export_push(&a, json_pack("{s:s,s:s,s:s}", "type", m[i].type, "value", s, "slice",
                                               "held-out documents of the training corpus"));
    }
    return json_pack("{s:o}", "performanceMetrics", a);
}

static json_t *considerations(void)
{
    return json_pack(
        "{s:[s,s,s],s:[{s:s,s:s}]}", "technicalLimitations",
        "A language model completes text; what it says may be wrong.",
        "The figures are of held-out text of its own corpus; no other task was measured for this document.",
        "Energy was not measured and is left out.", "ethicalConsiderations", "name",
        "Biases and errors of the training text are in the model.", "mitigationStrategy",
        "Not known to the ledger: to be told by the holder.");
}

static json_t *model_card(const struct export *x)
{
    return json_pack("{s:{s:{s:s},s:s,s:s,s:s,s:[{s:s}],s:[{s:s}],s:[{s:s}]},s:o,s:o}", "modelParameters", "approach",
                     "type", "self-supervised", "task", "text-generation", "architectureFamily", "transformer",
                     "modelArchitecture", x->b->config.model.arch, "datasets", "ref", "corpus", "inputs", "format",
                     "text", "outputs", "format", "text", "quantitativeAnalysis", metrics(x), "considerations",
                     considerations());
}

static json_t *model_properties(const struct export *x)
{
    const struct logbook *b = x->b;
    char flops[40];
    json_t *a = json_array();
    export_push(&a, property("dokja:genesis", x->genesis));
    export_push(&a, property("dokja:state-root", x->root));
    export_push(&a, property("dokja:seed-from", b->beacon.source));
    add_count(&a, "dokja:parameters", model_params_total(&b->config.model));
    add_count(&a, "dokja:training-tokens", b->final.tokens);
    snprintf(flops, sizeof flops, "%.6e", b->final.flops);
    export_push(&a, property("dokja:training-flops", flops));
    return a;
}

static json_t *references(const struct export *x)
{
    json_t *a = json_pack("[{s:s,s:s,s:[{s:s,s:s}]}]", "type", "evidence", "url", "ledger.bin", "hashes", "alg",
                          "SHA-256", "content", x->ledger);
    if (x->signed_too)
        export_push(&a, json_pack("{s:s,s:s}", "type", "attestation", "url", "run.intoto.jsonl"));
    if (x->url)
        export_push(&a, json_pack("{s:s,s:s}", "type", "website", "url", x->url));
    return a;
}

static json_t *model(const struct export *x)
{
    json_t *c = json_pack("{s:s,s:s,s:s,s:s,s:o,s:o,s:o,s:o,s:o,s:o}", "type", "machine-learning-model", "bom-ref",
                          "model", "name", x->name, "version", x->root, "hashes", weights_hash(&x->b->final),
                          "pedigree", pedigree(&x->b->genesis), "modelCard", model_card(x), "externalReferences",
                          references(x), "properties", model_properties(x), "components", files(&x->b->final));
    if (export_named(x))
        export_set(&c, "supplier", json_pack("{s:s}", "name", x->b->genesis.holder));
    if (x->license)
        export_set(&c, "licenses", json_pack("[{s:s}]", "expression", x->license));
    return c;
}

static json_t *corpus_licenses(const struct census_table *t)
{
    json_t *a = json_array();
    for (size_t i = 0; i < t->n; i++)
        export_push(&a, json_pack("{s:{s:s}}", "license", "name", t->row[i].name));
    return a;
}

static json_t *corpus(const struct export *x)
{
    const struct genesis *g = &x->b->genesis;
    json_t *p = json_array();
    export_push(&p, property("dokja:corpus-root", x->corpus_root));
    add_count(&p, "dokja:documents", g->corpus_docs);
    add_count(&p, "dokja:bytes", g->corpus_bytes);
    add_count(&p, "dokja:documents-to-train-on", g->train_docs);
    add_count(&p, "dokja:documents-held-out", g->heldout_docs);
    for (size_t i = 0; x->census && i < x->census->table[CENSUS_LANG].n; i++) {
        const struct census_row *r = &x->census->table[CENSUS_LANG].row[i];
        char bytes[24];
        snprintf(bytes, sizeof bytes, "%" PRIu64, r->bytes);
        export_push(&p, json_pack("{s:s+,s:s}", "name", "dokja:bytes:language:", r->name, "value", bytes));
    }
    json_t *c = json_pack("{s:s,s:s,s:s,s:s,s:s,s:[{s:s,s:s,s:s}],s:o}", "type", "data", "bom-ref", "corpus", "name",
                          "training corpus", "version", x->corpus_root, "description",
                          "The text that the run committed to before its first step.", "data", "type", "dataset",
                          "name", "training corpus", "description", "documents under one Merkle root", "properties", p);
    if (x->census)
        export_set(&c, "licenses", corpus_licenses(&x->census->table[CENSUS_LICENSE]));
    return c;
}

static json_t *tokenizer(const struct export *x)
{
    return json_pack("{s:s,s:s,s:s,s:[{s:s,s:s}]}", "type", "data", "bom-ref", "tokenizer", "name", "tokenizer",
                     "hashes", "alg", "SHA-256", "content", x->tokenizer);
}

/* A UUID of version 8 (RFC 9562): the hash of GENESIS, but for the bits that say so. */
static void serial(char out[64], const struct digest *genesis)
{
    uint8_t u[16];
    memcpy(u, genesis->b, sizeof u);
    u[6] = (uint8_t)((u[6] & 0x0f) | 0x80);
    u[8] = (uint8_t)((u[8] & 0x3f) | 0x80);
    int n = snprintf(out, 64, "urn:uuid:");
    for (int i = 0; i < 16; i++)
        n += snprintf(out + n, 64 - (size_t)n, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", u[i]);
}

int export_bom(struct buf *d, const struct export *x, struct err *e)
{
    char uuid[64];
    serial(uuid, &x->b->hash);
    json_t *metadata = json_pack("{s:{s:[{s:s,s:s,s:s}]},s:o}", "tools", "components", "type", "application", "name",
                                 "dokja", "version", x->source, "component", model(x));
    json_t *at = export_time(x->b->final.c.at);
    if (json_is_string(at))
        export_set(&metadata, "timestamp", json_incref(at));
    json_decref(at);
    return export_json(d, json_pack("{s:s,s:s,s:s,s:s,s:i,s:o,s:[o,o],s:[{s:s,s:[s,s]}]}", "$schema",
                                    "http://cyclonedx.org/schema/bom-1.6.schema.json", "bomFormat", "CycloneDX",
                                    "specVersion", "1.6", "serialNumber", uuid, "version", 1, "metadata", metadata,
                                    "components", corpus(x), tokenizer(x), "dependencies", "ref", "model", "dependsOn",
                                    "corpus", "tokenizer"),
                       e);
}
