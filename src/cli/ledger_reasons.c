#include "cli/ledger_reasons.h"

#include "ui/phrase.h"

/* In the order of train/audit.c, which makes them. No particle follows a name or a
 * number: its last sound would have to choose it. */
static const struct two reasons[] = {
    {"* records, each holds the hash of the one before", "기록 $1개가 저마다 앞 기록의 해시를 담고 있다"},
    {"the last record is not signed for: the run was stopped there, or somebody cut the rest off",
     "마지막 기록에 서명이 없다. 거기서 학습이 멈췄거나 누군가 뒤를 잘라 냈다"},
    {"only the first * of * records are signed for", "기록 $2개 가운데 앞의 $1개에만 서명이 있다"},
    {"* checkpoints by the key of GENESIS", "GENESIS의 키로 서명한 검인 $1개"},
    {"nobody said which GENESIS was lodged; this one is *", "미리 맡겨 둔 GENESIS를 알려 주지 않았다. 이 원장의 것: $1"},
    {"GENESIS is *, not the one that was lodged", "맡겨 둔 GENESIS가 아니다. 이 원장의 것: $1"},
    {"GENESIS is the one that was lodged", "맡겨 둔 GENESIS와 같다"},
    {"no checkpoint that someone kept was given", "보관된 검인을 알려 주지 않았다"},
    {"the first * records are those of the checkpoint that was kept", "앞의 기록 $1개가 보관된 검인의 것과 같다"},
    {"the checkpoint that was kept is of * records, and not of these", "보관된 검인은 기록 $1개의 것이며, 이 기록들의 것이 아니다"},
    {"*: a note is not signed by * with the key *", "$1: $2의 키 $3으로 한 서명이 없다"},
    {"*, self-test *", "$1, 자체 점검 $2"},
    {"the self-test of GENESIS is *, not that of * or of this machine",
     "GENESIS의 자체 점검 값이 $2의 것이나 이 기계의 것과 다르다: $1"},
    {"the run still waits for its beacon", "공개될 값을 아직 기다리고 있다"},
    {"the value is of \"*\", GENESIS names \"*\"", "값의 출처가 GENESIS에 적힌 것과 다르다: 값은 ‘$1’, GENESIS는 ‘$2’"},
    {"a seed that is the run's own was made of no value, BEACON has \"*\"",
     "스스로 정한 시드에는 공개된 값이 없어야 하는데 BEACON에 값이 있다: ‘$1’"},
    {"the run chose its seed itself: others may have been tried", "시드를 스스로 정했다. 다른 시드를 시험해 보고 골랐을 수 있다"},
    {"seed * does not follow from GENESIS and the value \"*\"", "GENESIS와 값 ‘$2’에서 나오는 시드가 아니다: $1"},
    {"follows from GENESIS and the value \"*\", whose source is not named: others may have been tried",
     "GENESIS와 값 ‘$1’에서 나온다. 값의 출처가 적혀 있지 않으니 다른 값을 시험해 보고 골랐을 수 있다"},
    {"follows from GENESIS and the value \"*\" of *; whether it was chosen cannot be told without the hash of a "
     "GENESIS lodged before the draw",
     "GENESIS와 값 ‘$1’(출처: $2)에서 나온다. 추첨 전에 맡겨 둔 GENESIS의 해시 없이는 골랐는지 알 수 없다"},
    {"follows from the GENESIS that was lodged and the value \"*\" of *", "맡겨 둔 GENESIS와 값 ‘$1’(출처: $2)에서 나온다"},
    {"training has not begun", "학습을 시작하지 않았다"},
    {"weights made again from seed * give INIT's root", "시드 $1에서 다시 만든 가중치의 해시가 INIT의 것과 같다"},
    {"INIT's root is not that of the random weights of seed *", "INIT의 해시가 시드 $1의 무작위 가중치의 것이 아니다"},
    {"SEGMENT * lies behind the planned steps", "구간 $1: 계획한 단계를 넘어선다"},
    {"SEGMENT * has other steps than planned", "구간 $1의 단계가 계획과 다르다"},
    {"SEGMENT * does not begin with the state the one before ended with", "구간 $1: 앞 구간의 마지막 상태에서 시작하지 않는다"},
    {"SEGMENT * has another cursor or token count than its steps give", "구간 $1: 글 위치나 토큰 수가 단계 수와 맞지 않는다"},
    {"SEGMENT * has another FLOP count than its steps give", "구간 $1: 연산량이 단계 수와 맞지 않는다"},
    {"SEGMENT * tells of another number of tensors than the model has", "구간 $1: 텐서 수가 모델과 다르다"},
    {"SEGMENT * tells of a movement that no tensor can make", "구간 $1: 어떤 텐서도 할 수 없는 움직임이 적혀 있다"},
    {"SEGMENT * has a loss that is not a number", "구간 $1: 손실 하나가 수가 아니다"},
    {"* segments join, as the configuration plans them", "구간 $1개가 설정의 계획대로 이어진다"},
    {"the file ends within an entry, at step * of *", "파일이 항목 중간에서 끝난다. 전체 $2단계 가운데 $1단계"},
    {"no signed FINAL: the ledger ends at step * of *", "서명된 FINAL이 없다. 원장은 전체 $2단계 가운데 $1단계에서 끝난다"},
    {"FINAL is not the end of the * planned steps", "FINAL이 계획한 $1단계의 끝이 아니다"},
    {"* steps, * tokens, * FLOPs", "$1단계, $2토큰, $3 FLOPs"},
    {"* files and the configuration are the ledger's", "파일 $1개와 설정이 원장의 것과 같다"},
    {"no FINAL says what they should be", "어떤 가중치여야 하는지 말해 주는 FINAL이 없다"},
    {"the state is not here: only a replay can tie the model to FINAL's root",
     "마지막 상태가 여기 없다. 모델이 FINAL의 해시와 맞는지는 재현해야 알 수 있다"},
    {"the * tensors of the model file are those of FINAL's state", "모델 파일의 텐서 $1개가 FINAL의 상태와 같다"},
    {"there is a model.sig, and no public key was given", "model.sig가 있으나 공개 키를 알려 주지 않았다"},
    {"* files are those that were signed", "파일 $1개가 서명한 것과 같다"},
    {"*: no signature in it is by this key (*) over this content", "$1: 이 키($2)로 이 내용에 한 서명이 없다"},
    {"no corpus was given", "말뭉치를 알려 주지 않았다"},
    {"its * documents have the root of GENESIS", "문서 $1개의 해시가 GENESIS의 것과 같다"},
    {"no segments to judge", "판단할 구간이 없다"},
    {"* moved * % of what * allows in segment *", "한도에 가장 가까운 것: 구간 $4의 $1, $3의 한도의 $2 %만큼 움직였다"},
    {"* segments are too few to compare", "구간이 $1개뿐이라 견줄 수 없다"},
    {"* moved * times as fast in segment * as around it", "가장 튀는 것: 구간 $3의 $1, 앞뒤 구간의 $2배 빠르기로 움직였다"},
    {"* moved * times as fast in segment * as around it: text that is soon known by heart does that, and so does a "
     "state from elsewhere; a replay of that segment tells",
     "가장 튀는 것: 구간 $3의 $1, 앞뒤 구간의 $2배 빠르기로 움직였다. 곧 외워지는 글도, 다른 데서 온 상태도 그렇게 한다. 그 구간을 재현하면 "
     "알 수 있다"},
    {"no final weights to judge", "판단할 마지막 가중치가 없다"},
    {"* lies * % as far from its beginning as its segments moved it",
     "가장 멀리 간 것: $1, 시작에서 떨어진 거리가 구간마다 움직인 거리 합의 $2 %"},
    {"* correlates least with its own beginning, z = * (chance: below *); alone this proves nothing",
     "시작을 가장 덜 닮은 것: $1, z = $2 (우연이면 $3 미만). 이것만으로는 아무것도 증명하지 못한다"},
};

bool ledger_reason_ko(char *ko, size_t size, const char *reason)
{
    return phrase_ko(ko, size, reasons, sizeof reasons / sizeof *reasons, reason);
}
