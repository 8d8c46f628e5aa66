/* What the ledger can say where the Korean AI Basic Act asks: computation against the threshold, and who has which
 * duty.  In Korean and English. */
#include <inttypes.h>

#include "base/plural.h"
#include "cli/export.h"

#define THRESHOLD 1e26         /* FLOPs of training, cumulative */

static int korean(struct buf *d, const struct export *x, struct err *e)
{
    const struct logbook *b = x->b;
    double ratio = b->final.flops / THRESHOLD;
    return buf_printf(
        d, e,
        "# 인공지능기본법 자료\n\n"
        "학습 원장에서 계산한 초안이며 법률 자문이 아니다. 조문은 법령 원문으로 확인해야 한다. 시행 2026-01-22.\n\n"
        "## 학습 연산량\n\n"
        "| 항목 | 값 |\n|---|---|\n"
        "| 이 학습의 누적 연산량 | %.6e FLOP |\n"
        "| 기준 | 1e26 FLOP |\n"
        "| 기준에 대한 비율 | %.3e (%s) |\n"
        "| 학습한 토큰 | %" PRIu64 " |\n"
        "| 매개변수 | %" PRIu64 " |\n\n"
        "%s안전 확보 의무는 연산량만으로 정해지지 않는다. 기준 이상이면서 최신 기술 수준과 위험도 요건까지 갖춘 경우이다. "
        "이 값에는 원장에 적힌 학습만 들어 있고, 버린 시도와 이후의 미세 조정은 들어 있지 않다.\n\n"
        "## 고지와 표시\n\n"
        "아래 의무는 모델을 서비스로 내놓는 사업자에게 있다. 원장은 이행 여부를 알지 못한다.\n\n"
        "- 사전 고지: 생성형 인공지능에 기반한 서비스라는 것을 이용자에게 미리 알린다.\n"
        "- 생성물 표시: 눈에 보이게, 또는 기계가 읽을 수 있게 하고 서비스 안에서 안내한다.\n"
        "- 실제와 구분하기 어려운 생성물: 분명히 알아볼 수 있게 표시한다.\n"
        "- 고영향 인공지능에 해당하는지는 쓰임에 달려 있다: 원장으로는 알 수 없음.\n\n"
        "## 원장이 약속하는 것\n\n"
        "- 출발: %s\n"
        "- 글: 문서 %" PRIu64 "개, %" PRIu64 "바이트, 해시 `%s`\n"
        "- 프로그램 소스 `%s`, 토크나이저 `%s`\n"
        "- 학습 전의 약속(GENESIS) `%s`, 마지막 상태 해시 `%s`\n"
        "- 확인: `dokja ledger verify RUN`, 같은 비트로 다시 학습: `dokja ledger replay RUN --all`\n\n",
        b->final.flops, ratio, ratio >= 1 ? "기준 이상" : "기준 미만", b->final.tokens,
        model_params_total(&b->config.model), b->genesis.n_ancestors ? "다른 모델에서 출발했으므로 그 모델의 연산량을 "
        "더해야 한다. " : "", b->genesis.n_ancestors ? "GENESIS에 적힌 다른 모델" : "무작위 가중치",
        b->genesis.corpus_docs, b->genesis.corpus_bytes, x->corpus_root, x->source, x->tokenizer, x->genesis, x->root);
}

static int english(struct buf *d, const struct export *x, struct err *e)
{
    const struct logbook *b = x->b;
    double ratio = b->final.flops / THRESHOLD;
    return buf_printf(
        d, e,
        "# For the Korean AI Basic Act\n\n"
        "A draft computed from the ledger of a run; not legal advice. Compare with the text of the law, in force since "
        "2026-01-22.\n\n"
        "## Computation of training\n\n"
        "| | |\n|---|---|\n"
        "| cumulative, this run | %.6e FLOP |\n"
        "| threshold | 1e26 FLOP |\n"
        "| ratio | %.3e (%s the threshold) |\n"
        "| tokens trained on | %" PRIu64 " |\n"
        "| parameters | %" PRIu64 " |\n\n"
        "%sThe safety duty does not follow from computation alone: it asks for the threshold and for state of the art "
        "and risk besides. The figure is of the training in this ledger; attempts thrown away and later tuning are not "
        "in it.\n\n"
        "## Notice and marking\n\n"
        "These are duties of whoever offers the model as a service; the ledger does not know whether they are met.\n\n"
        "- Notice beforehand that the service is based on generative AI.\n"
        "- Marking of what is generated: visibly, or for machines to read with a notice in the service.\n"
        "- What is hard to tell from the real: marked so that it is clearly perceived.\n"
        "- Whether it is high-impact AI depends on its use: not known to the ledger.\n\n"
        "## What the ledger commits to\n\n"
        "- beginning: %s\n"
        "- text: %" PRIu64 " document%s, %" PRIu64 " byte%s, root `%s`\n"
        "- source of the program `%s`, tokenizer `%s`\n"
        "- commitment before training (GENESIS) `%s`, last state `%s`\n"
        "- checked by `dokja ledger verify RUN`, trained again to the bit by `dokja ledger replay RUN --all`\n",
        b->final.flops, ratio, ratio >= 1 ? "at or above" : "below", b->final.tokens,
        model_params_total(&b->config.model), b->genesis.n_ancestors ? "It began from another model, whose computation "
        "is to be added. " : "", b->genesis.n_ancestors ? "another model, named in GENESIS" : "random weights",
        b->genesis.corpus_docs, PLURAL(b->genesis.corpus_docs), b->genesis.corpus_bytes,
        PLURAL(b->genesis.corpus_bytes), x->corpus_root, x->source, x->tokenizer, x->genesis, x->root);
}

int export_korea(struct buf *d, const struct export *x, struct err *e)
{
    int rc = korean(d, x, e);
    return rc ? rc : english(d, x, e);
}
