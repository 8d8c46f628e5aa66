/* Ask, generate greedily, compare exactly. */
#include "eval/primer_eval.h"

#include <string.h>

#include "infer/generate.h"

enum { ANSWER_TOKENS = 64, PROMPT_TOKENS = 1024, PREFILL_ROWS = 256 };

struct asking {
    struct session *s;
    struct tok_encoder *enc;
    const struct tokenizer *t;
    struct token_vec tok;
    struct gen_result r;
};

static int ask(struct asking *a, const struct primer_item *it, struct err *e)
{
    int32_t bos = tokenizer_special(a->t).bos;

    session_reset(a->s, 0);
    a->tok.n = 0;
    /* The beginning of a document, as in training; the encoder's vector is grown by encoding. */
    int rc = bos >= 0 ? tok_encode(a->enc, &a->tok, "<|bos|>", 7, true, e) : 0;
    if (rc == 0)
        rc = tok_encode(a->enc, &a->tok, it->prompt.p, it->prompt.len, false, e);
    if (rc)
        return rc;
    if (a->tok.n + ANSWER_TOKENS > PROMPT_TOKENS)
        return err_set(e, ERR_LIMIT, "primer: a question of %zu tokens, limit %d", a->tok.n,
            PROMPT_TOKENS - ANSWER_TOKENS);
    const struct gen_opts g = {.max_tokens = ANSWER_TOKENS, .temp = 0, .top_p = 1, .repeat_penalty = 1,
        .stop = &it->stop, .n_stop = 1,
                               .stop_token = -1};
    return generate(a->s, a->tok.v, (int)a->tok.n, &g, &a->r, e);
}

static int eval_skill(struct asking *a, int skill, const struct primer_eval_opts *o, struct primer_score *score,
    struct err *e)
{
    struct primer_item it = {0};
    int rc = 0;

    for (int i = 0; rc == 0 && i < o->items; i++) {
        rc = primer_question(&it, skill, !o->seen, o->seed, (uint64_t)i, e);
        if (rc == 0)
            rc = ask(a, &it, e);
        if (rc)
            break;
        const char *text = a->r.text.p ? a->r.text.p : "";
        bool right = primer_check(&it, text, a->r.text.len);
        score->asked++;
        score->right += right;
        score->chance += (it.chance - score->chance) / score->asked;
        if (o->on_item && !o->on_item(o->user, &it, text, a->r.text.len, right))
            rc = err_set(e, ERR_STOPPED, "primer: stopped after %d questions of %s", score->asked,
                primer_skill(skill)->name);
        gen_result_release(&a->r);
        memset(&a->r, 0, sizeof a->r);
    }
    primer_item_release(&it);
    return rc;
}

int primer_eval(struct infer_model *m, const struct primer_eval_opts *o, struct primer_score *score, struct err *e)
{
    struct asking a = {.t = infer_model_tokenizer(m)};
    int max_pos = infer_model_config(m)->max_pos, rc;

    memset(score, 0, (size_t)primer_skills() * sizeof *score);
    if (!a.t)
        return err_set(e, ERR_VALUE, "primer: the model has no tokenizer");
    rc = session_new(&a.s, m, max_pos < PROMPT_TOKENS ? max_pos : PROMPT_TOKENS, PREFILL_ROWS, e);
    if (rc == 0)
        rc = tok_encoder_new(&a.enc, a.t, e);
    for (int i = 0; rc == 0 && i < primer_skills(); i++)
        rc = eval_skill(&a, i, o, &score[i], e);
    gen_result_release(&a.r);
    token_vec_release(&a.tok);
    tok_encoder_free(a.enc);
    session_free(a.s);
    return rc;
}
