/* The public summary of training content that article 53(1)(d) of the EU AI Act asks for, in the three parts of the
 * Commission's template: figures counted from the corpus; what the ledger does not know is said to be not known. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/plural.h"
#include "cli/export.h"

#define NOT_KNOWN "not known to the ledger; to be told by the provider"
enum { AT_LEAST = 10 };        /* domains that are listed where the largest tenth is fewer */

/* How many of the web domains are listed: the largest tenth, the rows that are none not counted. */
static size_t listed_domains(const struct census_table *t, size_t *all)
{
    *all = 0;
    for (size_t i = 0; i < t->n; i++)
        *all += strcmp(t->row[i].name, CENSUS_NO_DOMAIN) != 0 && strcmp(t->row[i].name, CENSUS_OTHERS) != 0;
    size_t tenth = (*all + 9) / 10;
    return tenth > AT_LEAST ? tenth : *all < AT_LEAST ? *all : AT_LEAST;
}

/* The template's sizes of text. */
static const char *size_class(uint64_t tokens)
{
    if (tokens < UINT64_C(1000000000))
        return "less than 1 billion tokens";
    return tokens <= UINT64_C(10000000000000) ? "1 billion to 10 trillion tokens" : "more than 10 trillion tokens";
}

/* The parts of the second section; which of them a source belongs to, no record of the corpus says. */
static const struct {
    const char *number, *title, *key;
} kinds[] = {{"2.1", "Publicly available datasets", "publicly_available_datasets"},
             {"2.2", "Private datasets of third parties, licensed or not", "private_third_party_datasets"},
             {"2.3", "Data crawled and scraped from online sources", "crawled_data"},
             {"2.4", "User data", "user_data"},
             {"2.5", "Synthetic data", "synthetic_data"},
             {"2.6", "Other sources", "other_sources"}};

/* ---- as JSON ---- */

static json_t *table_json(const struct census_table *t, size_t limit)
{
    json_t *a = json_array();
    for (size_t i = 0; i < t->n && i < limit; i++)
        export_push(&a, json_pack("{s:s,s:I,s:I}", "name", t->row[i].name, "documents",
                                           (json_int_t)t->row[i].docs, "bytes", (json_int_t)t->row[i].bytes));
    return a;
}

static json_t *domains_json(const struct census_table *t)
{
    json_t *a = json_array();
    size_t all, n = listed_domains(t, &all), i = 0;
    for (size_t done = 0; done < n && i < t->n; i++)
        if (strcmp(t->row[i].name, CENSUS_NO_DOMAIN) != 0 && strcmp(t->row[i].name, CENSUS_OTHERS) != 0) {
            export_push(&a, json_pack("{s:s,s:I,s:I}", "name", t->row[i].name, "documents",
                                               (json_int_t)t->row[i].docs, "bytes", (json_int_t)t->row[i].bytes));
            done++;
        }
    return json_pack("{s:I,s:o}", "domains", (json_int_t)all, "largest", a);
}

static json_t *general_json(const struct export *x)
{
    const struct genesis *g = &x->b->genesis;
    json_t *ancestors = json_array();
    for (int i = 0; i < g->n_ancestors; i++) {
        char hex[65];
        digest_hex(hex, &g->ancestor[i]);
        export_push(&ancestors, json_string(hex));
    }
    return json_pack("{s:o,s:s,s:s,s:s,s:o,s:o,s:o,s:{s:s,s:I,s:I,s:s,s:o},s:{s:I,s:I,s:I},s:s}", "provider",
                     export_named(x) ? json_string(g->holder) : json_null(), "model", x->name, "genesis", x->genesis,
                     "state_root", x->root, "trained_from", export_time(x->b->begun.at), "trained_until",
                     export_time(x->b->final.c.at), "built_on_models", ancestors, "text", "size", size_class(
                     g->train_tokens), "tokens_of_training_documents", (json_int_t)g->train_tokens, "tokens_trained_on",
                     (json_int_t)x->b->final.tokens, "tokenizer", x->tokenizer, "languages_by_bytes",
                     x->census ? table_json(&x->census->table[CENSUS_LANG], CENSUS_MAX_ROWS) : json_null(),
                     "other_modalities_bytes", "image", (json_int_t)0, "audio", (json_int_t)0, "video", (json_int_t)0,
                     "latest_acquisition", NOT_KNOWN);
}

static json_t *sources_json(const struct export *x)
{
    json_t *o = json_object();
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        export_set(&o, kinds[i].key, json_string(NOT_KNOWN));
    export_set(&o, "corpus_root", json_string(x->corpus_root));
    export_set(&o, "documents", json_integer((json_int_t)x->b->genesis.corpus_docs));
    export_set(&o, "bytes", json_integer((json_int_t)x->b->genesis.corpus_bytes));
    if (!x->census)
        return o;
    const struct census_table *t = x->census->table;
    export_set(&o, "characters", json_integer((json_int_t)x->census->chars));
    export_set(&o, "by_source", table_json(&t[CENSUS_SOURCE], 1000));
    export_set(&o, "by_licence", table_json(&t[CENSUS_LICENSE], CENSUS_MAX_ROWS));
    export_set(&o, "web", domains_json(&t[CENSUS_DOMAIN]));
    return o;
}

static json_t *processing_json(const struct export *x)
{
    json_t *o = json_pack("{s:s,s:s,s:s}", "rights_reservations", NOT_KNOWN, "illegal_content", NOT_KNOWN,
                          "personal_data", NOT_KNOWN);
    if (!x->corpus)
        return o;
    struct corpus_counts n = corpus_count(x->corpus);
    export_set(&o, "removed_documents",
                        json_pack("{s:I,s:I,s:I,s:I,s:I}", "duplicate", (json_int_t)n.duplicate, "empty",
                                  (json_int_t)n.empty, "not_utf8", (json_int_t)n.not_utf8, "too_long",
                                  (json_int_t)n.too_long, "bad_record", (json_int_t)n.bad_record));
    return o;
}

int export_eu_json(struct buf *d, const struct export *x, struct err *e)
{
    return export_json(d, json_pack("{s:s,s:s,s:o,s:o,s:o}", "format", "dokja-eu-summary-1", "template",
                                    "C(2025) 8311, article 53(1)(d) of Regulation (EU) 2024/1689", "general",
                                    general_json(x), "sources", sources_json(x), "processing", processing_json(x)),
                       e);
}

/* ---- as a text ---- */

/* A cell: no line ends, and nothing of a record that Markdown would read as bars, links, HTML or escapes. */
static int cell(struct buf *d, const char *s, struct err *e)
{
    int rc = 0;
    for (; *s && rc == 0; s++) {
        if (strchr("|<>&[]\\`", *s))
            rc = buf_printf(d, e, "&#%d;", *s);
        else
            rc = buf_addc(d, (unsigned char)*s < ' ' ? ' ' : *s, e);
    }
    return rc;
}

static int rows(struct buf *d, const struct census_table *t, uint64_t all, size_t limit, bool web_only, struct err *e)
{
    int rc = buf_adds(d, "\n| | documents | bytes | share |\n|---|---:|---:|---:|\n", e);
    size_t done = 0;
    for (size_t i = 0; i < t->n && done < limit && rc == 0; i++) {
        const struct census_row *r = &t->row[i];
        if (web_only && (strcmp(r->name, CENSUS_NO_DOMAIN) == 0 || strcmp(r->name, CENSUS_OTHERS) == 0))
            continue;
        rc = buf_adds(d, "| ", e);
        if (rc == 0)
            rc = cell(d, r->name, e);
        if (rc == 0)
            rc = buf_printf(d, e, " | %" PRIu64 " | %" PRIu64 " | %.2f %% |\n", r->docs, r->bytes,
                            all ? 100 * (double)r->bytes / (double)all : 0);
        done++;
    }
    return rc;
}

static int general(struct buf *d, const struct export *x, struct err *e)
{
    const struct genesis *g = &x->b->genesis;
    int rc = buf_adds(d, "## 1. General information\n\n- Provider: ", e);
    if (rc == 0)
        rc = cell(d, export_named(x) ? g->holder : NOT_KNOWN, e);
    if (rc == 0)
        rc = buf_adds(d, "\n- Model: ", e);
    if (rc == 0)
        rc = cell(d, x->name, e);
    if (rc == 0)
        rc = buf_printf(d, e, ", run `%s`, state root `%s`\n- Built on other models: %s\n", x->genesis, x->root,
                        g->n_ancestors ? "yes, GENESIS names them" : "none; trained from random weights");
    if (rc == 0)
        rc = buf_printf(d, e, "- Trained from %s until %s\n- Date of placing on the market: " NOT_KNOWN "\n- Latest "
                        "date of data acquisition: " NOT_KNOWN "\n"
                        "- Modalities: text only; no images, no audio, no video\n"
                        "- Size of the training text: %s (%" PRIu64 " tokens in %" PRIu64 " document%s; %" PRIu64
                        " tokens were trained on, repetitions counted)\n", x->b->begun.at, x->b->final.c.at,
                        size_class(g->train_tokens), g->train_tokens, g->train_docs, PLURAL(g->train_docs),
                        x->b->final.tokens);
    if (rc == 0)
        rc = buf_adds(d, x->census ? "- Languages, by bytes:\n" : "- Languages: the corpus was not given\n", e);
    return rc || !x->census ? rc : rows(d, &x->census->table[CENSUS_LANG], x->census->bytes, CENSUS_MAX_ROWS, false, e);
}

static int sources(struct buf *d, const struct export *x, struct err *e)
{
    const struct genesis *g = &x->b->genesis;
    int rc = buf_printf(d, e, "\n## 2. List of data sources\n\nAll text is in one corpus of %" PRIu64 " document%s and "
                        "%" PRIu64 " byte%s, with the root `%s`. Its records say where a document is from, not in "
                        "which of the template's parts it belongs:\n\n", g->corpus_docs, PLURAL(g->corpus_docs),
                        g->corpus_bytes, PLURAL(g->corpus_bytes), x->corpus_root);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds && rc == 0; i++)
        rc = buf_printf(d, e, "- %s %s: " NOT_KNOWN "\n", kinds[i].number, kinds[i].title);
    if (rc || !x->census)
        return rc ? rc : buf_adds(d, "\nThe corpus was not given: no table of sources.\n", e);
    const struct census *c = x->census;
    size_t all, n = listed_domains(&c->table[CENSUS_DOMAIN], &all);
    rc = buf_adds(d, "\nSources, as the records name them (the 100 largest):\n", e);
    if (rc == 0)
        rc = rows(d, &c->table[CENSUS_SOURCE], c->bytes, 100, false, e);
    if (rc == 0)
        rc = buf_adds(d, "\nLicences, as the records name them:\n", e);
    if (rc == 0)
        rc = rows(d, &c->table[CENSUS_LICENSE], c->bytes, 100, false, e);
    if (rc == 0 && all == 0)
        return buf_adds(d, "\nNo record names a web address as its source: no table of domains.\n", e);
    if (rc == 0)
        rc = buf_printf(d, e, "\nWeb domains, by bytes: %zu of %zu, the largest tenth and at least %d:\n", n, all,
                        AT_LEAST);
    return rc ? rc : rows(d, &c->table[CENSUS_DOMAIN], c->bytes, n, true, e);
}

static int processing(struct buf *d, const struct export *x, struct err *e)
{
    int rc = buf_adds(d, "\n## 3. Data processing\n\n- Reservations of rights (text and data mining), and how they "
                      "were respected: " NOT_KNOWN "\n- Removal of illegal content: " NOT_KNOWN "\n- Personal data: "
                      NOT_KNOWN "\n", e);
    if (rc || !x->corpus)
        return rc;
    struct corpus_counts n = corpus_count(x->corpus);
    return buf_printf(d, e, "- Done to all text: Unicode normal form C, and exact duplicates left out. Of %" PRIu64
                      " document%s %" PRIu64 " %s kept; left out were %" PRIu64 " duplicate%s, %" PRIu64 " empty, %"
                      PRIu64 " not UTF-8, %" PRIu64 " too long, %" PRIu64 " unreadable\n", n.docs_in,
                      PLURAL(n.docs_in), n.docs, ONE_OR(n.docs, "was", "were"), n.duplicate, PLURAL(n.duplicate),
                      n.empty, n.not_utf8, n.too_long, n.bad_record);
}

int export_eu(struct buf *d, const struct export *x, struct err *e)
{
    int rc = buf_adds(d, "# Public summary of training content\n\nA draft in the three parts of the template of the "
                      "European Commission, C(2025) 8311 (article 53(1)(d) of Regulation (EU) 2024/1689). Figures are "
                      "counted from the corpus and the ledger of the run; what these do not know is said to be not "
                      "known. Compare with the template's own text before publishing. Not legal advice.\n\n", e);
    if (rc == 0)
        rc = general(d, x, e);
    if (rc == 0)
        rc = sources(d, x, e);
    return rc ? rc : processing(d, x, e);
}
