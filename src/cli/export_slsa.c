/* SLSA provenance v1 in an in-toto Statement v1: what made these files, of what (slsa.dev/spec/v1.0/provenance). */
#include <inttypes.h>
#include <stdio.h>

#include "base/base64.h"
#include "cli/export.h"

#define BUILD_TYPE "urn:dokja:training-run:1"

static json_t *subjects(const struct final *f)
{
    json_t *a = json_array();
    for (uint64_t i = 0; i < f->n_files; i++) {
        char hex[65];
        digest_hex(hex, &f->file[i].sha256);
        export_push(&a, json_pack("{s:s,s:{s:s}}", "name", f->file[i].name, "digest", "sha256", hex));
    }
    return a;
}

/* The corpus' digest is a tree's root, so it has a name of its own: nothing hashes to it with sha256sum. */
static json_t *dependencies(const struct export *x)
{
    json_t *a = json_array();
    char uri[100];
    snprintf(uri, sizeof uri, "urn:dokja:corpus:%s", x->corpus_root);
    export_push(
        &a, json_pack("{s:s,s:s,s:{s:s},s:{s:s,s:I,s:I}}", "name", "corpus", "uri", uri, "digest", "dokjaCorpusRoot",
                     x->corpus_root, "annotations", "digestOf",
                     "RFC 6962 tree over the documents; leaf: SHA-256(text), SHA-256(metadata)", "documents",
                     (json_int_t)x->b->genesis.corpus_docs, "bytes", (json_int_t)x->b->genesis.corpus_bytes));
    export_push(&a, json_pack("{s:s,s:{s:s},s:s}", "name", "tokenizer.json", "digest", "sha256", x->tokenizer,
                                       "mediaType", "application/json"));
    export_push(&a, json_pack("{s:s,s:{s:s},s:{s:s}}", "name", "dokja source tree", "digest", "sha256",
                                       x->source, "annotations", "digestOf",
                                       "the output of sha256sum over the tree's files (make source-digest)"));
    for (int i = 0; i < x->b->genesis.n_ancestors; i++) {
        char hex[65];
        digest_hex(hex, &x->b->genesis.ancestor[i]);
        export_push(&a, json_pack("{s:s,s:{s:s}}", "name", "ancestor", "digest", "sha256", hex));
    }
    return a;
}

static json_t *byproducts(const struct export *x)
{
    struct buf text = {0};
    char hex[65];
    struct digest h = sha256_of(x->checkpoint, x->checkpoint_n);
    digest_hex(hex, &h);
    json_t *v = base64_add(&text, x->checkpoint, x->checkpoint_n, NULL)
                    ? NULL
                    : json_pack("[{s:s,s:{s:s}},{s:s,s:{s:s},s:s,s:s}]", "name", "ledger.bin", "digest", "sha256",
                                x->ledger, "name", "checkpoint", "digest", "sha256", hex, "mediaType",
                                "text/plain; charset=utf-8", "content", text.p);
    buf_release(&text);
    return v;
}

static json_t *internal(const struct export *x)
{
    const struct logbook *b = x->b;
    char seed[24], selftest[65];
    snprintf(seed, sizeof seed, "0x%016" PRIx64, b->config.seed);
    digest_hex(selftest, &b->genesis.selftest);
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:{s:s,s:s},s:s,s:s}", "genesis", x->genesis, "stateRoot", x->root,
                     "numericProfile", profile_name(b->config.profile), "selftest", selftest, "seed", seed, "beacon",
                     "source", b->beacon.source, "value", b->beacon.value, "compiler", b->genesis.compiler, "isa",
                     b->final.c.isa);
}

int export_slsa(struct buf *d, const struct export *x, struct err *e)
{
    char builder[100], invocation[100];
    snprintf(builder, sizeof builder, "urn:dokja:source:%s", x->source);
    snprintf(invocation, sizeof invocation, "dokja-run/%s", x->genesis);
    json_t *metadata = json_pack("{s:s,s:o,s:o}", "invocationId", invocation, "startedOn",
                                 export_time(x->b->begun.at), "finishedOn", export_time(x->b->final.c.at));
    json_t *run = json_pack("{s:{s:s,s:{s:s}},s:o,s:o}", "builder", "id", builder, "version", "dokja", x->source,
                            "metadata", metadata, "byproducts", byproducts(x));
    json_t *build = json_pack("{s:s,s:{s:O,s:O},s:o,s:o}", "buildType", BUILD_TYPE, "externalParameters", "model",
                              x->config, "run", x->run, "internalParameters", internal(x), "resolvedDependencies",
                              dependencies(x));
    return export_json(d, json_pack("{s:s,s:o,s:s,s:{s:o,s:o}}", "_type", "https://in-toto.io/Statement/v1", "subject",
                                    subjects(&x->b->final), "predicateType", "https://slsa.dev/provenance/v1",
                                    "predicate", "buildDefinition", build, "runDetails", run),
                       e);
}
