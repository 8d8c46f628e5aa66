#include "train/segment.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

/* ---- when and where ---- */

static int circumstance_text(struct buf *b, const struct circumstance *c, struct err *e)
{
    int rc = lines_add(b, "at", c->at, e);
    if (rc == 0)
        rc = lines_add(b, "isa", c->isa, e);
    return rc ? rc : lines_add_count(b, "threads", c->threads, e);
}

static int circumstance_read(struct circumstance *c, struct lines *t, struct err *e)
{
    int rc = lines_take_text(c->at, sizeof c->at, t, "at", e);
    if (rc == 0)
        rc = lines_take_text(c->isa, sizeof c->isa, t, "isa", e);
    if (rc == 0)
        rc = lines_take_count(t, "threads", &c->threads, e);
    return rc ? rc : lines_end(t, e);
}

size_t record_firm(const char *text, size_t n)
{
    for (size_t i = n; i >= 4; i--)
        if (memcmp(text + i - 4, "\nat ", 4) == 0)
            return i - 3;
    return n;
}

/* ---- INIT, EVENT ---- */

int init_text(struct buf *b, const struct digest *root, const struct circumstance *c, struct err *e)
{
    int rc = lines_add_digest(b, "root", root, e);
    return rc ? rc : circumstance_text(b, c, e);
}

int init_read(struct digest *root, struct circumstance *c, struct lines *t, struct err *e)
{
    int rc = lines_take_digest(t, "root", root, e);
    return rc ? rc : circumstance_read(c, t, e);
}

int event_text(struct buf *b, const struct event *v, struct err *e)
{
    int rc = lines_add(b, "what", v->what, e);
    if (rc == 0)
        rc = lines_add_count(b, "step", v->step, e);
    if (rc == 0)
        rc = lines_add_digest(b, "root", &v->root, e);
    return rc ? rc : circumstance_text(b, &v->c, e);
}

int event_read(struct event *v, struct lines *t, struct err *e)
{
    int rc = lines_take_text(v->what, sizeof v->what, t, "what", e);
    if (rc == 0)
        rc = lines_take_count(t, "step", &v->step, e);
    if (rc == 0)
        rc = lines_take_digest(t, "root", &v->root, e);
    return rc ? rc : circumstance_read(&v->c, t, e);
}

/* ---- SEGMENT ---- */

static int drifts_text(struct buf *b, const struct segment *s, struct err *e)
{
    int rc = lines_add_count(b, "tensors", s->n_drift, e);
    for (uint64_t i = 0; i < s->n_drift && rc == 0; i++)
        rc = lines_add_reals(b, "moved", (double[]){s->drift[i].rms, s->drift[i].max}, 2, e);
    return rc;
}

int segment_text(struct buf *b, const struct segment *s, struct err *e)
{
    size_t steps = (size_t)(s->to - s->from);
    int rc;
    if ((rc = lines_add_count(b, "segment", s->index, e)) || (rc = lines_add_count(b, "from", s->from, e)) ||
        (rc = lines_add_count(b, "to", s->to, e)) || (rc = lines_add_digest(b, "before", &s->before, e)) ||
        (rc = lines_add_digest(b, "after", &s->after, e)) || (rc = lines_add_count(b, "sample", s->sample, e)) ||
        (rc = lines_add_count(b, "tokens", s->tokens, e)) || (rc = lines_add_real(b, "flops", s->flops, e)) ||
        (rc = lines_add_reals(b, "loss", s->loss, steps, e)) ||
        (rc = lines_add_reals(b, "grad_norm", s->grad_norm, steps, e)) || (rc = drifts_text(b, s, e)))
        return rc;
    return circumstance_text(b, &s->c, e);
}

static int read_arrays(struct segment *s, struct lines *t, struct err *e)
{
    size_t steps = (size_t)(s->to - s->from);
    s->loss = mem_new(steps, sizeof *s->loss);
    s->grad_norm = mem_new(steps, sizeof *s->grad_norm);
    if (!s->loss || !s->grad_norm)
        return err_set(e, ERR_NOMEM, "%s: no memory for %zu steps", t->where, steps);
    int rc = lines_take_reals(t, "loss", s->loss, steps, e);
    if (rc == 0)
        rc = lines_take_reals(t, "grad_norm", s->grad_norm, steps, e);
    if (rc == 0)
        rc = lines_take_count(t, "tensors", &s->n_drift, e);
    if (rc)
        return rc;
    if (s->n_drift > t->n / 8)   /* a line each */
        return err_set(e, ERR_FORMAT, "%s: tensors is %" PRIu64 ", more than lines follow", t->where, s->n_drift);
    s->drift = mem_new((size_t)s->n_drift + 1, sizeof *s->drift);
    if (!s->drift)
        return err_set(e, ERR_NOMEM, "%s: no memory for %" PRIu64 " tensors", t->where, s->n_drift);
    for (uint64_t i = 0; i < s->n_drift && rc == 0; i++) {
        double v[2] = {0};
        rc = lines_take_reals(t, "moved", v, 2, e);
        s->drift[i] = (struct drift){v[0], v[1]};
    }
    return rc;
}

int segment_read(struct segment *s, struct lines *t, struct err *e)
{
    int rc;
    *s = (struct segment){0};
    if ((rc = lines_take_count(t, "segment", &s->index, e)) || (rc = lines_take_count(t, "from", &s->from, e)) ||
        (rc = lines_take_count(t, "to", &s->to, e)) || (rc = lines_take_digest(t, "before", &s->before, e)) ||
        (rc = lines_take_digest(t, "after", &s->after, e)) || (rc = lines_take_count(t, "sample", &s->sample, e)) ||
        (rc = lines_take_count(t, "tokens", &s->tokens, e)) || (rc = lines_take_real(t, "flops", &s->flops, e)))
        return rc;
    if (s->to <= s->from || s->to - s->from > t->n / 16)   /* so many digits a step */
        return err_set(e, ERR_FORMAT, "%s: from %" PRIu64 " to %" PRIu64 " is no segment of its losses", t->where,
                       s->from, s->to);
    rc = read_arrays(s, t, e);
    if (rc == 0)
        rc = circumstance_read(&s->c, t, e);
    if (rc)
        segment_release(s);
    return rc;
}

void segment_release(struct segment *s)
{
    mem_free(s->loss);
    mem_free(s->grad_norm);
    mem_free(s->drift);
    *s = (struct segment){0};
}

/* ---- FINAL ---- */

int final_text(struct buf *b, const struct final *f, struct err *e)
{
    int rc;
    if ((rc = lines_add_digest(b, "root", &f->root, e)) || (rc = lines_add_count(b, "steps", f->steps, e)) ||
        (rc = lines_add_count(b, "tokens", f->tokens, e)) || (rc = lines_add_real(b, "flops", f->flops, e)) ||
        (rc = lines_add_real(b, "heldout_bits_per_byte", f->bits_per_byte, e)) ||
        (rc = lines_add_real(b, "heldout_bits_per_char", f->bits_per_char, e)) ||
        (rc = lines_add_count(b, "files", f->n_files, e)))
        return rc;
    for (uint64_t i = 0; i < f->n_files && rc == 0; i++) {
        rc = lines_add(b, "file", f->file[i].name, e);
        if (rc == 0)
            rc = lines_add_digest(b, "sha256", &f->file[i].sha256, e);
    }
    return rc ? rc : circumstance_text(b, &f->c, e);
}

int final_read(struct final *f, struct lines *t, struct err *e)
{
    int rc;
    *f = (struct final){0};
    if ((rc = lines_take_digest(t, "root", &f->root, e)) || (rc = lines_take_count(t, "steps", &f->steps, e)) ||
        (rc = lines_take_count(t, "tokens", &f->tokens, e)) || (rc = lines_take_real(t, "flops", &f->flops, e)) ||
        (rc = lines_take_real(t, "heldout_bits_per_byte", &f->bits_per_byte, e)) ||
        (rc = lines_take_real(t, "heldout_bits_per_char", &f->bits_per_char, e)) ||
        (rc = lines_take_count(t, "files", &f->n_files, e)))
        return rc;
    if (f->n_files > FINAL_MAX_FILES)
        return err_set(e, ERR_LIMIT, "%s: files is %" PRIu64 ", expected at most %d", t->where, f->n_files,
                       FINAL_MAX_FILES);
    for (uint64_t i = 0; i < f->n_files && rc == 0; i++) {
        rc = lines_take_text(f->file[i].name, sizeof f->file[i].name, t, "file", e);
        if (rc == 0)
            rc = lines_take_digest(t, "sha256", &f->file[i].sha256, e);
    }
    return rc ? rc : circumstance_read(&f->c, t, e);
}

/* Where FINAL names a file, or n_files. */
static uint64_t final_find(const struct final *f, const char *name)
{
    uint64_t i = 0;
    while (i < f->n_files && strcmp(f->file[i].name, name) != 0)
        i++;
    return i;
}

/* A FINAL that left one of these out would let any other lie in its place. */
static int final_names_check(const struct final *f, const struct digest *tokenizer, struct err *e)
{
    static const char *const must[] = {"config.json", "model.safetensors", "run.json", "tokenizer.json"};
    for (size_t k = 0; k < sizeof must / sizeof *must; k++)
        if (final_find(f, must[k]) == f->n_files)
            return err_set(e, ERR_VALUE, "FINAL does not name %s", must[k]);
    if (memcmp(f->file[final_find(f, "tokenizer.json")].sha256.b, tokenizer->b, sizeof tokenizer->b) != 0)
        return err_set(e, ERR_VALUE, "FINAL's tokenizer.json is not the tokenizer of GENESIS");
    return 0;
}

int final_files_check(const struct final *f, const struct digest *tokenizer, const char *dir, struct err *e)
{
    struct buf path = {0};
    int rc = final_names_check(f, tokenizer, e);
    for (uint64_t i = 0; i < f->n_files && rc == 0; i++) {
        struct digest d;
        if (strchr(f->file[i].name, '/'))
            rc = err_set(e, ERR_VALUE, "FINAL names %s, which lies outside the run", f->file[i].name);
        if (rc == 0)
            rc = file_join(&path, dir, f->file[i].name, e);
        if (rc == 0)
            rc = sha256_file(&d, path.p, e);
        if (rc == 0 && memcmp(d.b, f->file[i].sha256.b, sizeof d.b) != 0)
            rc = err_set(e, ERR_VALUE, "%s is not the file that FINAL names", path.p);
    }
    buf_release(&path);
    return rc;
}
