#include "cli/ledger_page.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/plural.h"
#include "train/recipe.h"
#include "ui/chart.h"

/* ---- rows of two ---- */

/* Both take the same arguments, in the same order. */
static void vsay(struct html *h, const char *tag, const char *en, const char *ko, va_list ap, va_list again)
    PRINTF_LIKE(3, 0) PRINTF_LIKE(4, 0);
static void vsay(struct html *h, const char *tag, const char *en, const char *ko, va_list ap, va_list again)
{
    char text[2][600];
    vsnprintf(text[0], sizeof text[0], en, ap);
    vsnprintf(text[1], sizeof text[1], ko, again);
    html_two(h, tag, (struct two){text[0], text[1]});
}

static void say(struct html *h, const char *tag, const char *en, const char *ko, ...) PRINTF_LIKE(3, 5)
    PRINTF_LIKE(4, 5);
static void say(struct html *h, const char *tag, const char *en, const char *ko, ...)
{
    va_list ap, again;
    va_start(ap, ko);
    va_copy(again, ap);
    vsay(h, tag, en, ko, ap, again);
    va_end(again);
    va_end(ap);
}

static void fact(struct html *h, struct two name, const char *en, const char *ko, ...) PRINTF_LIKE(3, 5)
    PRINTF_LIKE(4, 5);
static void fact(struct html *h, struct two name, const char *en, const char *ko, ...)
{
    va_list ap, again;
    va_start(ap, ko);
    va_copy(again, ap);
    html_add(h, "<tr><th scope=\"row\">");
    html_two(h, "span", name);
    html_add(h, "</th><td class=\"left\">");
    vsay(h, "span", en, ko, ap, again);
    html_add(h, "</td></tr>\n");
    va_end(again);
    va_end(ap);
}

static void documents(struct html *h, struct two what, uint64_t docs, uint64_t tokens)
{
    fact(h, what, ONE_OR(docs, "%" PRIu64 " document · %" PRIu64 " tokens",
         "%" PRIu64 " documents · %" PRIu64 " tokens"), "문서 %" PRIu64 "개 · %" PRIu64 "토큰", docs, tokens);
}

/* Of few tokens the figure is rough, as pretrain and `ledger show` say too. */
static void result(struct html *h, const struct logbook *b)
{
    uint64_t used = recipe_heldout_used(&b->config, b->genesis.heldout_tokens);
    fact(h, (struct two){"Result", "결과"}, "%.4f bits per byte of the held-out text · %.4g FLOPs",
         "남겨 둔 글의 바이트당 %.4f비트 · %.4g FLOPs", b->final.bits_per_byte, b->final.flops);
    if (used < RECIPE_HELDOUT_LEAST)
        fact(h, (struct two){"How exact", "정밀도"}, ONE_OR(used,
             "rough: %" PRIu64 " held-out token is too few to compare runs by; the bits per byte may be %.0f %% off by "
             "chance",
             "rough: %" PRIu64 " held-out tokens are too few to compare runs by; the bits per byte may be %.0f %% off "
             "by chance"),
             "거침: 남겨 둔 글이 %" PRIu64 "토큰뿐이어서 학습끼리 견주기에는 모자라다. 바이트당 비트가 우연만으로 %.0f %%까지 틀릴 수 있다",
             used, 100 * recipe_heldout_chance(used));
}

static void facts(struct html *h, const char *run, const struct logbook *b)
{
    const struct genesis *g = &b->genesis;
    const struct run_config *c = &b->config;
    char hash[65], source[65], corpus[65], key[65];
    struct digest k;
    memcpy(k.b, g->key.b, sizeof k.b);
    digest_hex(hash, &b->hash);
    digest_hex(source, &g->source);
    digest_hex(corpus, &c->corpus_root);
    digest_hex(key, &k);
    html_add(h, "<div class=\"scroll\"><table><tbody>\n");
    fact(h, (struct two){"Run", "학습"}, "%s", "%s", run);
    if (strcmp(g->holder, "not named") == 0)
        fact(h, (struct two){"Holder", "수행 기관"}, "not named", "밝히지 않음");
    else
        fact(h, (struct two){"Holder", "수행 기관"}, "%s", "%s", g->holder);
    fact(h, (struct two){"GENESIS", "GENESIS"}, "%s, %s", "%s, %s", hash, g->created);
    fact(h, (struct two){"Signing key", "서명 키"}, "%s", "%s", key);
    fact(h, (struct two){"Program", "프로그램"}, "source %s, %s, numeric profile %s", "소스 %s, %s, 수치 프로파일 %s",
         source, g->compiler, profile_name(c->profile));
    if (g->n_ancestors)
        fact(h, (struct two){"Ancestors", "물려받은 가중치"}, "%d", "%d", g->n_ancestors);
    else
        fact(h, (struct two){"Ancestors", "물려받은 가중치"}, "none: random weights", "없음: 무작위 가중치");
    fact(h, (struct two){"Corpus", "말뭉치"}, ONE_OR(g->corpus_docs, "%s · %" PRIu64 " document · %.2f MB",
         "%s · %" PRIu64 " documents · %.2f MB"), "%s · 문서 %" PRIu64 "개 · %.2f MB", corpus, g->corpus_docs,
         (double)g->corpus_bytes * 1e-6);
    documents(h, (struct two){"Trained on", "학습한 글"}, g->train_docs, g->train_tokens);
    documents(h, (struct two){"Held out", "남겨 둔 글"}, g->heldout_docs, g->heldout_tokens);
    fact(h, (struct two){"Model", "모델"}, ONE_OR(c->model.n_layer,
         "%s · %d layer × %d · %.4g M parameters · vocabulary %d",
         "%s · %d layers × %d · %.4g M parameters · vocabulary %d"),
         "%s · %d층 × %d · 매개변수 %.4g M · 어휘 %d", c->model.arch, c->model.n_layer, c->model.d_model,
         (double)model_params_total(&c->model) * 1e-6, c->model.vocab);
    fact(h, (struct two){"Plan", "계획"}, ONE_OR(c->schedule.steps,
         "%" PRId64 " step × %" PRId64 " tokens · %s · %.4g FLOPs",
         "%" PRId64 " steps × %" PRId64 " tokens · %s · %.4g FLOPs"),
         "%" PRId64 "단계 × %" PRId64 "토큰 · %s · %.4g FLOPs", c->schedule.steps, c->batch_tokens,
         optim_name(c->optim.kind), run_flops_until(c, c->schedule.steps));
    if (b->has_beacon && strcmp(b->beacon.source, BEACON_SELF) != 0)
        fact(h, (struct two){"Seed", "시드"}, "0x%016" PRIx64 " ← GENESIS, \"%s\" (%s)",
             "0x%016" PRIx64 " ← GENESIS, \"%s\" (%s)", c->seed, b->beacon.value, b->beacon.source);
    else
        fact(h, (struct two){"Seed", "시드"}, "0x%016" PRIx64 " · self-chosen", "0x%016" PRIx64 " · 스스로 정함", c->seed);
    if (b->has_final)
        result(h, b);
    html_add(h, "</tbody></table></div>\n");
}

/* ---- curve ---- */

static void curve(struct html *h, const struct logbook *b)
{
    size_t n = 0, steps = 0;
    for (uint64_t k = 0; k < b->n_segments; k++)
        steps += (size_t)(b->segment[k].to - b->segment[k].from);
    double unit = (double)steps * (double)b->config.batch_tokens >= 1e6 ? 1e-6 : 1e-3;
    double *x = mem_new(steps + 1, sizeof *x), *y = mem_new(steps + 1, sizeof *y);
    for (uint64_t k = 0; x && y && k < b->n_segments; k++)
        for (uint64_t i = b->segment[k].from; i < b->segment[k].to; i++, n++) {
            x[n] = (double)(i + 1) * (double)b->config.batch_tokens * unit;
            y[n] = b->segment[k].loss[i - b->segment[k].from];
        }
    if (n > 1) { /* the table of segments has a single step's */
        html_two(h, "h2", (struct two){"Loss", "손실"});
        html_add(h, "<figure>\n");
        chart_line(h, &(struct chart_curve){.id = "loss", .title = {"Loss over tokens", "토큰 수에 따른 손실"},
                                            .desc = {"Training loss in nats per token against tokens seen",
                                                     "학습한 토큰 수에 따른 손실(토큰당 나트)"},
                                            .x_unit = unit < 1e-3 ? (struct two){"million tokens", "백만 토큰"}
                                                                  : (struct two){"thousand tokens", "천 토큰"},
                                            .y_unit = {"nats / token", "나트 / 토큰"}, .x = x, .y = y, .n = n});
        html_two(h, "figcaption", (struct two){"Every step as the ledger records it, in nats per token.",
                                               "원장에 기록된 모든 단계의 손실(토큰당 나트)."});
        html_add(h, "</figure>\n");
    }
    mem_free(x);
    mem_free(y);
}

/* ---- checks ---- */

static const struct {
    const char *name;
    struct two says;
} meanings[] = {
    {"chain", {"Records join and are in order", "기록이 이어지고 순서가 맞다"}},
    {"signatures", {"Signed by GENESIS' key", "GENESIS의 키로 서명되었다"}},
    {"lodged", {"GENESIS is the one that was lodged", "미리 맡겨 둔 GENESIS와 같다"}},
    {"witnessed", {"It goes on from a kept checkpoint", "보관된 검인에서 이어진다"}},
    {"profile", {"Same arithmetic", "같은 수치 규약"}},
    {"seed", {"GENESIS was lodged before the draw, so nobody could choose the seed",
              "추첨 전에 GENESIS를 맡겨 두어 아무도 시드를 고를 수 없었다"}},
    {"initial", {"The beginning is random", "무작위 가중치에서 시작했다"}},
    {"segments", {"Segments join", "구간이 빈틈없이 이어진다"}},
    {"complete", {"The plan was carried out", "계획한 단계를 모두 마쳤다"}},
    {"files", {"The files are the ledger's", "파일이 원장의 것과 같다"}},
    {"weights", {"The model is the final state", "모델이 마지막 상태와 같다"}},
    {"model-sig", {"The model's signature", "모델 서명"}},
    {"corpus", {"The corpus is the committed one", "약속한 말뭉치다"}},
    {"step-bound", {"No step was too large", "지나치게 큰 걸음이 없다"}},
    {"continuity", {"No jump", "튀는 구간이 없다"}},
    {"travel", {"The end can be reached from the beginning", "시작에서 닿을 수 있는 끝이다"}},
    {"birth", {"The end remembers the beginning", "끝이 시작을 닮았다"}},
};

static struct two meaning_of(const char *name)
{
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
        if (strcmp(meanings[i].name, name) == 0)
            return meanings[i].says;
    return (struct two){name, name};
}

/* What a damaged file made some reader say has no Korean: it is quoted. */
static void reason(struct html *h, const struct check *c)
{
    static const char *const kind[] = {"확인한 내용(영어):", "통과하지 못한 까닭(영어):", "판단할 수 없는 까닭(영어):"};
    if (*c->detail_ko) {
        html_two(h, "span", (struct two){c->detail, c->detail_ko});
        return;
    }
    html_addf(h, "<span lang=\"ko\">%s<br></span>", kind[c->result]);
    html_in(h, "small lang=\"en\" class=\"quoted\"", c->detail);
}

static void checks(struct html *h, const struct audit *a)
{
    static const struct two result[] = {{"pass", "통과"}, {"FAIL", "실패"}, {"not decidable", "판단할 수 없음"}};
    static const char *const colour[] = {"good", "bad", "open"};
    static const struct two verdict[] = {{"Verdict: pass", "판정: 통과"}, {"Verdict: FAIL", "판정: 실패"},
                                         {"Verdict: incomplete", "판정: 끝나지 않은 학습"}};
    html_two(h, "h2", verdict[audit_verdict(a)]);
    html_add(h, "<div class=\"scroll\"><table><tbody>\n");
    for (int i = 0; i < a->n; i++) {
        const struct check *c = &a->check[i];
        html_add(h, "<tr><th scope=\"row\">");
        html_two(h, "span", meaning_of(c->name));
        html_addf(h, " <span class=\"soft\">%s</span></th><td class=\"%s\">", c->name, colour[c->result]);
        html_two(h, "span", result[c->result]);
        html_add(h, "</td><td class=\"left\">");
        reason(h, c);
        html_add(h, "</td></tr>\n");
    }
    html_add(h, "</tbody></table></div>\n");
}

/* ---- text ---- */

static double number_at(const json_t *o, const char *key) { return json_number_value(json_object_get(o, key)); }

/* The files the corpus was built of, by size, and what was left out. */
static void composition(struct html *h, const json_t *manifest)
{
    enum { MOST = 40 };
    const json_t *inputs = json_object_get(manifest, "inputs"), *counts = json_object_get(manifest, "counts");
    double all = 0;
    size_t n = json_array_size(inputs);
    html_two(h, "h2", (struct two){"What the text is made of", "글의 구성"});
    html_add(h, "<div class=\"scroll\"><table><tbody>\n");
    for (size_t i = 0; i < n; i++)
        all += number_at(json_array_get(inputs, i), "bytes");
    for (size_t i = 0; i < n && i < MOST; i++) {
        const json_t *x = json_array_get(inputs, i);
        const char *name = json_string_value(json_object_get(x, "name"));
        html_add(h, "<tr>");
        html_in(h, "th scope=\"row\"", name ? name : "?");
        html_addf(h, "<td>%.2f MB</td><td>%.1f %%</td></tr>\n", number_at(x, "bytes") * 1e-6,
                  all > 0 ? 100 * number_at(x, "bytes") / all : 0);
    }
    html_add(h, "</tbody></table></div>\n");
    if (n > MOST)
        html_addf(h, "<p class=\"soft\">… + %zu</p>\n", n - MOST);
    say(h, "p class=\"soft\"", ONE_OR(number_at(counts, "docs_in"), "%.0f document read, %.0f kept · %.2f MB",
        "%.0f documents read, %.0f kept · %.2f MB"), "읽은 문서 %.0f개, 남은 문서 %.0f개 · %.2f MB",
        number_at(counts, "docs_in"), number_at(counts, "docs"), number_at(counts, "bytes") * 1e-6);
}

/* ---- segments ---- */

static struct two state_of(const struct replayed *r, uint64_t k)
{
    if (r && r->result->differs && r->result->segment == k)
        return (struct two){"DIFFERS", "다름"};
    if (r && r->choice->trained[k] && (!r->result->differs || k < r->result->segment))
        return (struct two){"replayed: same root", "재현함: 같은 값"};
    return (struct two){"recorded", "기록만 있음"};
}

static void segments(struct html *h, const struct logbook *b, const struct replayed *r)
{
    enum { MOST = 400 };
    uint64_t n = b->n_segments, step = (n + MOST - 1) / MOST;
    html_two(h, "h2", (struct two){"Segments", "구간"});
    html_add(h, "<div class=\"scroll\"><table><thead><tr><th>#</th>");
    static const struct two head[] = {{"steps", "단계"}, {"loss", "손실"}, {"state root", "상태 해시"},
                                      {"when", "시각"}, {"where", "환경"}, {"state", "확인"}};
    for (size_t i = 0; i < sizeof head / sizeof *head; i++) {
        html_add(h, "<th>");
        html_two(h, "span", head[i]);
        html_add(h, "</th>");
    }
    html_add(h, "</tr></thead><tbody>\n");
    for (uint64_t k = 0; k < n; k++) {
        const struct segment *s = &b->segment[k];
        char root[65];
        bool noted = r && (r->choice->trained[k] || r->result->segment == k);
        if (k % step && k + 1 < n && !noted)
            continue;
        digest_hex(root, &s->after);
        html_addf(h, "<tr><td>%" PRIu64 "</td><td>%" PRIu64 "–%" PRIu64 "</td><td>%.4f</td><td>%.12s…</td><td>", k,
                  s->from + 1, s->to, segment_loss(s), root);
        html_text(h, s->c.at);
        html_add(h, "</td><td>");
        html_text(h, s->c.isa);
        html_addf(h, " × %" PRIu64 "</td><td>", s->c.threads);
        html_two(h, "span", state_of(r, k));
        html_add(h, "</td></tr>\n");
    }
    html_add(h, "</tbody></table></div>\n");
    for (uint64_t i = 0; i < b->n_events; i++) {
        const struct event *v = &b->event[i];
        if (strcmp(v->what, EVENT_BEGUN_AGAIN) == 0)
            say(h, "p class=\"soft\"", "%s: begun again", "%s: 처음부터 다시 시작함", v->c.at);
        else if (strcmp(v->what, EVENT_RESUMED) == 0)
            say(h, "p class=\"soft\"", "%s: resumed after step %" PRIu64, "%s: %" PRIu64 "단계 뒤 이어서 학습함", v->c.at,
                v->step);
        else
            say(h, "p class=\"soft\"", "%s: %s after step %" PRIu64, "%1$s: %3$" PRIu64 "단계 뒤 %2$s", v->c.at, v->what,
                v->step);
    }
}

/* ---- what it proves ---- */

static void proves(struct html *h)
{
    static const struct two says[] = {
        {"What the checks above show: the ledger is whole, signed by one key and agrees with itself and with the "
         "files; the beginning is random weights of the stated seed; the final weights lie within reach of it.",
         "위의 확인이 보이는 것: 원장은 온전하고, 하나의 키로 서명되었으며, 그 자체로도 파일과도 어긋나지 않는다. "
         "시작은 밝힌 시드의 무작위 가중치이고, 마지막 가중치는 거기서 닿을 수 있는 곳에 있다."},
        {"What only a replay shows: that a segment is what training gives on the committed text, rates and order. "
         "Segments marked “recorded” were not replayed here.",
         "재현해야만 알 수 있는 것: 그 구간이 정말로 약속한 글과 학습률과 순서에서 나온 결과인가. "
         "‘기록만 있음’으로 표시된 구간은 여기서 재현하지 않았다."},
        {"What nothing here shows: who held the key; when this was written, unless GENESIS or a checkpoint was "
         "lodged with someone; whether the corpus is what its sources say, or was written by another model.",
         "여기서 알 수 없는 것: 키를 누가 쥐고 있었는가. GENESIS나 검인을 누군가에게 맡겨 두지 않았다면 언제 쓰였는가. "
         "말뭉치가 출처가 말하는 그대로인가, 혹은 다른 모델이 쓴 글인가."}};
    html_two(h, "h2", (struct two){"What this proves, and what it does not", "이것이 증명하는 것과 증명하지 않는 것"});
    for (size_t i = 0; i < sizeof says / sizeof *says; i++)
        html_two(h, "p", says[i]);
}

void ledger_page(struct html *h, const struct ledger_page *p)
{
    html_begin(h, (struct two){LEDGER_PAGE_TITLE, "학습 원장"});
    facts(h, p->run, p->book);
    checks(h, p->audit);
    curve(h, p->book);
    if (p->manifest)
        composition(h, p->manifest);
    segments(h, p->book, p->replayed);
    proves(h);
    html_end(h);
}
