/* Skills about words and texts: particles, word pairs, stories, codes, forms, comparisons, letters. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "data/primer_skills.h"

#define LIST(...) (const char *const[]){__VA_ARGS__, NULL}
#define QA(...) (const struct qa[]){__VA_ARGS__, {NULL, NULL, 0}}

/* ---- particles: the noun's final consonant decides ---- */
static const struct {
    const char *consonant, *vowel, *before, *after;
} particle_pair[5] = {
    {"을", "를", "공책에 ", " 크게 썼다"}, {"이", "가", "이야기 속에 ", " 나온다"}, {"은", "는", "", " 사전에 실린 낱말이다"},
    {"과", "와", "", " 그림을 선으로 이었다"}, {"으로", "로", "놀이 이름을 ", " 정했다"}};

static void particle_draw(struct fact *f, struct rng *r, bool held)
{
    do {
        f->v[0] = pick(r, N_PARTICLE_NOUNS);
        f->v[1] = pick(r, 5);
    } while (fact_held(SPACE_PARTICLE, f->v[0], f->v[1], 0, 0) != held);
}

static void particle_fill(struct slots *sl, const struct fact *f)
{
    static const char *const jamo[28] = {NULL, "ㄱ", "ㄲ", "ㄳ", "ㄴ", "ㄵ", "ㄶ", "ㄷ", "ㄹ", "ㄺ", "ㄻ", "ㄼ", "ㄽ", "ㄾ", "ㄿ",
        "ㅀ",
        "ㅁ", "ㅂ", "ㅄ", "ㅅ", "ㅆ", "ㅇ", "ㅈ", "ㅊ", "ㅋ", "ㅌ", "ㅍ", "ㅎ"};
    const char *noun = particle_nouns[f->v[0]];
    int final = ko_final(noun), p = f->v[1];
    bool vowel = final == 0 || (final == 8 && p == 4);
    const char *right = vowel ? particle_pair[p].vowel : particle_pair[p].consonant;
    char t[96];

    assert(final >= 0);
    sl->s[0] = noun;
    sl->s[1] = particle_pair[p].consonant;
    sl->s[2] = particle_pair[p].vowel;
    sl->s[3] = right;
    sl->s[4] = final ? jamo[final] : "없음";
    snprintf(t, sizeof t, "%s%s%s%s", particle_pair[p].before, noun, right, particle_pair[p].after);
    slot_join(sl, 5, t, NULL, NULL);
}

const struct skill skill_ko_particle = {
    .pub = {"ko-particle", "ko", "particles after final consonants", "받침에 맞는 조사"},
    .weight = 14, .draw = particle_draw, .fill = particle_fill, .title = "받침에 맞는 조사",
    .explain = LIST("받침이 있는 말 뒤에는 ‘을’, ‘이’, ‘은’, ‘과’를 쓴다.", "받침이 없는 말 뒤에는 ‘를’, ‘가’, ‘는’, ‘와’를 쓴다.",
        "‘으로’는 받침 뒤에 쓰지만, ㄹ 받침 뒤에는 ‘로’를 쓴다.", "조사를 고를 때는 앞말의 마지막 글자만 살핀다.",
        "소리 내어 읽으면 알맞은 조사를 쉽게 찾을 수 있다."),
    .state = LIST("{5}.", "{5}.", "‘{0}’의 받침: {4}. 그래서 {1}/{2} 가운데 ‘{3}’{3:을} 쓴다."),
    .drill = "{0} ({1}/{2}) → {3}",
    .qa = QA({"‘{0}’ 뒤에 오는 말은? ({1}/{2})", "{3}", 0.5}, {"‘{0}’에 알맞은 조사를 고르시오. ({1}/{2})", "{3}", 0.5},
        {"‘{0}’의 받침을 쓰시오.", "{4}", 0}),
};

/* ---- adjective and noun, Korean and English ---- */
static void pair_draw(struct fact *f, struct rng *r, bool held)
{
    do {
        f->v[0] = pick(r, N_PAIR_ADJS);
        f->v[1] = pick(r, N_PAIR_NOUNS);
    } while (fact_held(SPACE_PAIR, f->v[0], f->v[1], 0, 0) != held);
}

static void pair_fill(struct slots *sl, const struct fact *f)
{
    const struct word_pair *adj = &pair_adjs[f->v[0]], *noun = &pair_nouns[f->v[1]];

    slot_join(sl, 0, adj->ko, " ", noun->ko);
    slot_join(sl, 1, adj->en, " ", noun->en);
    slot_join(sl, 2, adj->en[0] == 'o' ? "an " : "a ", sl->s[1], NULL);
}

const struct skill skill_ko_pairs = {
    .pub = {"ko-to-en", "ko", "Korean phrases put into English", "우리말을 영어로 옮기기"},
    .weight = 12, .draw = pair_draw, .fill = pair_fill, .title = "우리말을 영어로 옮기기",
    .explain = LIST("꾸미는 말은 우리말에서도 영어에서도 꾸밈을 받는 말 앞에 온다.", "두 낱말을 하나씩 옮긴 다음 차례대로 이어 쓴다.",
        "영어 낱말 사이에는 빈칸을 하나 둔다.", "뜻을 모르는 낱말은 앞쪽의 낱말표에서 찾는다."),
    .state = LIST("우리말 ‘{0}’, 영어 ‘{1}’.", "나는 {0}{0:을} 보았다. I saw {2}.", "여기 {0}{0:이} 있다. Here is {2}."),
    .drill = "{0} - {1}",
    .qa = QA({"‘{0}’의 영어는?", "{1}", 1.0 / (N_PAIR_ADJS * N_PAIR_NOUNS)},
        {"영어로 옮기시오: {0}", "{1}", 1.0 / (N_PAIR_ADJS * N_PAIR_NOUNS)}),
};

const struct skill skill_en_pairs = {
    .pub = {"en-to-ko", "en", "English phrases put into Korean", "영어를 우리말로 옮기기"},
    .weight = 12, .draw = pair_draw, .fill = pair_fill, .title = "saying it in Korean",
    .explain = LIST("In Korean, as in English, the adjective stands before the noun.",
        "Translate each of the two words and keep their order.",
        "Korean has no word for a or the.", "Look at the adjective first and then at the noun."),
    .state = LIST("The Korean for {1} is {0}.", "I can see {2}. {0}{0:이} 보인다.", "This is {2}. 이것은 {0}{0:다}."),
    .drill = "{1} - {0}",
    .qa = QA({"How do you say {1} in Korean?", "{0}", 1.0 / (N_PAIR_ADJS * N_PAIR_NOUNS)},
        {"Put {1} into Korean.", "{0}", 1.0 / (N_PAIR_ADJS * N_PAIR_NOUNS)}),
};

/* ---- stories: who put what where; three rows of (person, thing, place) ---- */
static void story_draw(struct fact *f, struct rng *r, bool held, enum fact_space space, int people, int things,
    int places)
{
    int v[3][3];

    f->v[0] = pick(r, 3);
    for (;;) {
        bool fits = true;
        pick_distinct(r, v[0], 3, people);
        pick_distinct(r, v[1], 3, things);
        pick_distinct(r, v[2], 3, places);
        for (int i = 0; i < 3; i++) {
            bool h = fact_held(space, v[0][i], v[1][i], v[2][i], 0);
            fits = fits && (h == (held && i == f->v[0]));
        }
        if (fits)
            break;
    }
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++)
            f->v[1 + 3 * i + k] = v[k][i];
}

static void story_fill(struct slots *sl, const struct fact *f, const char *const *people, const char *const *things,
                       const char *const *places)
{
    for (int i = 0; i < 4; i++) {                            /* the fourth time: the row asked about */
        const int *row = f->v + 1 + 3 * (i < 3 ? i : f->v[0]);
        sl->s[3 * i] = people[row[0]];
        sl->s[3 * i + 1] = things[row[1]];
        sl->s[3 * i + 2] = places[row[2]];
    }
}

static void story_draw_ko(struct fact *f, struct rng *r, bool held)
{
    story_draw(f, r, held, SPACE_STORY_KO, N_KO_NAMES, N_KO_THINGS, N_KO_PLACES);
}

static void story_fill_ko(struct slots *sl, const struct fact *f)
{
    story_fill(sl, f, ko_names, ko_things, ko_places);
}

static void story_draw_en(struct fact *f, struct rng *r, bool held)
{
    story_draw(f, r, held, SPACE_STORY_EN, N_EN_NAMES, N_EN_THINGS, N_EN_PLACES);
}

static void story_fill_en(struct slots *sl, const struct fact *f)
{
    story_fill(sl, f, en_names, en_things, en_places);
}

const struct skill skill_ko_story = {
    .pub = {"ko-story", "ko", "questions about a short story", "짧은 이야기를 읽고 답하기"},
    .weight = 16, .rows = 3, .draw = story_draw_ko, .fill = story_fill_ko, .title = "이야기를 읽고 답하기",
    .explain = LIST("이야기를 읽을 때는 누가 무엇을 어디에 두었는지 살핀다.", "물음에 나온 낱말을 이야기에서 먼저 찾는다.",
        "찾은 낱말이 들어 있는 문장을 다시 읽으면 답이 보인다.", "답은 이야기 안에 있는 말로 쓴다."),
    .context = LIST("{0}{0:은} {1}{1:을} {2}에 두었다. {3}{3:은} {4}{4:을} {5}에 두었다. {6}{6:은} {7}{7:을} {8}에 두었다.",
        "{0}{0:은} {1}{1:을} {2}에 놓았다. {3}{3:은} {4}{4:을} {5}에 놓았다. 그리고 {6}{6:은} {7}{7:을} {8}에 놓았다.",
        "아침에 {0}{0:은} {1}{1:을} {2}에 두고 나왔다. 점심때 {3}{3:은} {4}{4:을} {5}에 두었다. 저녁에 {6}{6:은} {7}{7:을} {8}에 두었다.",
        "술래잡기를 하기 전에 {0}{0:은} {1}{1:을} {2}에, {3}{3:은} {4}{4:을} {5}에, {6}{6:은} {7}{7:을} {8}에 두었다."),
    .shorter = {LIST("{0}{0:은} {1}{1:을} {2}에 두었다.", "아침에 {0}{0:은} {1}{1:을} {2}에 두고 나왔다."),
        LIST("{0}{0:은} {1}{1:을} {2}에 두었다. {3}{3:은} {4}{4:을} {5}에 두었다.",
            "{0}{0:은} {1}{1:을} {2}에 놓았다. 그리고 {3}{3:은} {4}{4:을} {5}에 놓았다.")},
    .state = LIST("그래서 {a}{a:은} {b}에 있다.", "{a}{a:을} {b}에 둔 사람은 {9}{9:다}."),
    .qa = QA({"{9}{9:은} 무엇을 어디에 두었는가?", "{9}{9:은} {a}{a:을} {b}에", 1.0 / 3},
        {"{9}{9:은} {a}{a:을} 어디에 두었는가?", "{9}{9:은} {a}{a:을} {b}에", 1.0 / 3}, {"{a}{a:을} 둔 곳은?", "{a}{a:을} {b}에",
        1.0 / 3}),
};

const struct skill skill_en_story = {
    .pub = {"en-story", "en", "questions about a short English story", "영어 이야기를 읽고 답하기"},
    .weight = 16, .rows = 3, .draw = story_draw_en, .fill = story_fill_en, .title = "reading a short story",
    .explain = LIST("Read the story once and then look at the question.", "Find the word of the question in the story.",
        "The answer stands in the same sentence.", "A good answer is short and uses the words of the story."),
    .context = LIST("{0} put the {1} in the {2}. {3} put the {4} in the {5}. {6} put the {7} in the {8}.",
        "Before lunch {0} put the {1} in the {2}. Then {3} put the {4} in the {5}. Last of all, {6} "
        "put the {7} in the {8}."),
    .shorter = {LIST("{0} put the {1} in the {2}.", "This morning {0} put the {1} in the {2}."),
        LIST("{0} put the {1} in the {2}. {3} put the {4} in the {5}.",
            "First {0} put the {1} in the {2}. Then {3} put the {4} in the {5}.")},
    .state = LIST("So the {a} is in the {b}.", "It is {9} who knows about the {a} in the {b}."),
    .qa = QA({"What did {9} do?", "{9} put the {a} in the {b}", 1.0 / 3}, {"Where did {9} put the {a}?",
        "{9} put the {a} in the {b}", 1.0 / 3}),
};

/* ---- a small dictionary of secret words: four rows of (word, meaning) ---- */
static void code_draw(struct fact *f, struct rng *r, bool held)
{
    int w[4], m[4];

    f->v[0] = pick(r, 4);
    for (;;) {
        bool fits = true;
        pick_distinct(r, w, 4, N_CODES);
        pick_distinct(r, m, 4, N_MEANINGS);
        for (int i = 0; i < 4; i++)
            fits = fits && fact_held(SPACE_CODE, w[i], m[i], 0, 0) == (held && i == f->v[0]);
        if (fits)
            break;
    }
    for (int i = 0; i < 4; i++) {
        f->v[1 + 2 * i] = w[i];
        f->v[2 + 2 * i] = m[i];
    }
}

static void code_fill(struct slots *sl, const struct fact *f)
{
    for (int i = 0; i < 5; i++) {
        const int *row = f->v + 1 + 2 * (i < 4 ? i : f->v[0]);
        sl->s[2 * i] = ko_codes[row[0]];
        sl->s[2 * i + 1] = ko_meanings[row[1]];
    }
}

const struct skill skill_ko_code = {
    .pub = {"ko-code", "ko", "looking words up in a small dictionary", "작은 사전에서 뜻 찾기"},
    .weight = 14, .rows = 4, .draw = code_draw, .fill = code_fill, .title = "암호말 사전 찾기",
    .explain = LIST("암호말은 모둠끼리 약속한 말이어서 모둠마다 뜻이 다르다.", "뜻을 알려면 그 모둠의 사전을 찾아보아야 한다.",
        "사전에서 찾는 말과 똑같은 말을 찾고 그 옆에 있는 뜻을 읽는다.", "같은 암호말도 다른 모둠에서는 다른 뜻이 된다."),
    .context = LIST("암호말 사전\n{0}: {1}\n{2}: {3}\n{4}: {5}\n{6}: {7}",
        "우리 모둠의 약속\n{0}: {1}\n{2}: {3}\n{4}: {5}\n{6}: {7}",
        "{0}: {1}, {2}: {3}, {4}: {5}, {6}: {7}. 이것이 우리 모둠의 사전이다."),
    .shorter = {LIST("암호말 사전\n{0}: {1}", "우리 모둠의 약속\n{0}: {1}"), LIST("암호말 사전\n{0}: {1}\n{2}: {3}",
        "우리 모둠의 약속\n{0}: {1}\n{2}: {3}")},
    .state = LIST("이 모둠에서 {8}의 뜻은 {9}{9:다}.", "여기서는 {8}{8:라}고 하면 {9}{9:을} 가리킨다."),
    .qa = QA({"{8}의 뜻은?", "{8}: {9}", 0.25}, {"{8}{8:은} 무엇인가?", "{8}: {9}", 0.25}),
};

/* ---- office forms ---- */
static void form_draw(struct fact *f, struct rng *r, bool held)
{
    struct fact date;

    do {
        f->v[0] = pick(r, N_SURNAMES);
        f->v[1] = pick(r, N_KO_NAMES);
        f->v[2] = pick(r, N_DEPTS);
        f->v[3] = pick(r, N_ROOMS);
    } while (fact_held(SPACE_FORM, f->v[0] * 100 + f->v[1], f->v[2], f->v[3], 0) != held);
    f->v[4] = pick(r, N_ERRANDS);
    date_draw(&date, r, false);
    f->v[5] = date.v[0];
    f->v[6] = date.v[1];
}

static void form_fill(struct slots *sl, const struct fact *f)
{
    char t[32];

    slot_join(sl, 0, ko_surnames[f->v[0]], ko_names[f->v[1]], NULL);
    sl->s[1] = ko_depts[f->v[2]];
    sl->s[2] = ko_rooms[f->v[3]];
    sl->s[3] = ko_errands[f->v[4]];
    snprintf(t, sizeof t, "%d월 %d일", f->v[5], f->v[6]);
    slot_join(sl, 4, t, NULL, NULL);
}

const struct skill skill_ko_form = {
    .pub = {"ko-form", "ko", "finding a field in an office form", "서식에서 필요한 칸 찾기"},
    .weight = 12, .draw = form_draw, .fill = form_fill, .title = "서식 읽기",
    .explain = LIST("서식에는 칸마다 이름이 있다.", "묻는 것이 어느 칸에 있는지 먼저 찾는다.", "칸의 이름 뒤에 적힌 말을 그대로 옮겨 쓴다.",
        "이름, 부서, 장소, 날짜를 빠뜨리지 않고 적어야 일을 맡은 사람이 헷갈리지 않는다."),
    .context = LIST("사용 신청서\n이름: {0}\n부서: {1}\n장소: {2}\n용건: {3}\n날짜: {4}",
        "사용 신청서\n날짜: {4}\n부서: {1}\n이름: {0}\n용건: {3}\n장소: {2}",
        "접수 대장\n용건: {3}\n장소: {2}\n날짜: {4}\n이름: {0}\n부서: {1}", "예약 확인서\n장소: {2}\n날짜: {4}\n이름: {0}\n부서: {1}\n용건: {3}"),
    .state = LIST("신청한 사람은 {1}의 {0}{0:다}.", "{0}{0:은} {4}에 {2}{2:을} 쓰려고 한다.", "{2}{2:을} 쓰는 까닭은 {3} 때문이다."),
    .qa = QA({"이름 칸에 적힌 것은?", "이름: {0}", 0.2}, {"부서 칸에 적힌 것은?", "부서: {1}", 0.2}, {"장소 칸에 적힌 것은?", "장소: {2}", 0.2},
        {"용건 칸에 적힌 것은?", "용건: {3}", 0.2},
        {"날짜 칸에 적힌 것은?", "날짜: {4}", 0.2}),
};

/* ---- comparing two people ---- */
static void tall_draw(struct fact *f, struct rng *r, bool held)
{
    do {
        pick_distinct(r, f->v, 2, N_EN_NAMES);               /* who has more, who has less */
        f->v[2] = pick(r, N_POLAR);
    } while (fact_held(SPACE_TALL, f->v[0], f->v[1], f->v[2], 0) != held);
    f->v[3] = pick(r, 2);                                    /* told from below? */
    f->v[4] = pick(r, 2);                                    /* asked from below? */
}

static void tall_fill(struct slots *sl, const struct fact *f)
{
    const struct polar *p = &polar_adjs[f->v[2]];
    const char *word[2] = {p->more, p->less};

    sl->s[0] = en_names[f->v[f->v[3]]];
    sl->s[1] = en_names[f->v[1 - f->v[3]]];
    sl->s[2] = word[f->v[3]];
    sl->s[3] = word[1 - f->v[3]];
    sl->s[4] = word[f->v[4]];
    sl->s[5] = en_names[f->v[f->v[4]]];
}

const struct skill skill_en_compare = {
    .pub = {"en-compare", "en", "who is taller, older, faster", "누가 더 큰지 영어로 비교하기"},
    .weight = 12, .draw = tall_draw, .fill = tall_fill, .title = "comparing two people",
    .explain = LIST("We compare two people with words like taller and older.",
        "Taller and shorter are opposites; so are older and younger.",
        "Faster is the opposite of slower, and stronger is the opposite of weaker.",
        "Heavier and lighter are opposites, and so are richer and poorer.",
        "When the first person is taller than the second, the second is shorter than the first."),
    .context = LIST("{0} is {2} than {1}.", "{0} and {1} are friends. {0} is {2} than {1}.",
        "We know one thing about {0} and {1}: {0} is {2} than {1}."),
    .state = LIST("So {1} is {3} than {0}.", "The {2} one is {0}.", "The {3} one is {1}."),
    .qa = QA({"Who is {4}?", "{5}", 0.5}, {"Which of the two is {4}?", "{5}", 0.5}),
};

/* ---- letters from right to left ---- */
static void letters_draw(struct fact *f, struct rng *r, bool held)
{
    int *v = f->v;

    do
        pick_distinct(r, v, 3, 26);
    while ((v[0] < v[2] ? fact_held(SPACE_LETTERS, v[0], v[1], v[2], 0) : fact_held(SPACE_LETTERS, v[2], v[1], v[0],
        0)) != held);
}

static void letters_fill(struct slots *sl, const struct fact *f)
{
    for (int i = 0; i < 3; i++) {
        char t[2] = {(char)('A' + f->v[i]), 0};
        slot_join(sl, i, t, NULL, NULL);
    }
}

const struct skill skill_en_letters = {
    .pub = {"en-letters", "en", "letters read from right to left", "글자를 거꾸로 읽기"},
    .weight = 8, .draw = letters_draw, .fill = letters_fill, .title = "reading letters backwards",
    .explain = LIST("To read a row backwards, begin with the last letter.", "The first letter of the row comes last.",
        "Reading backwards twice gives the first row again.",
        "Point at each letter while you read."),
    .state = LIST("{0}, {1}, {2} from right to left is {2}, {1}, {0}.",
        "The row {0}, {1}, {2} begins with {0} and ends with {2}."),
    .drill = "{0}, {1}, {2} - {2}, {1}, {0}",
    .qa = QA({"Read {0}, {1}, {2} from right to left.", "{2}, {1}, {0}", 1.0 / 6},
        {"Write the letters {0}, {1}, {2} backwards.", "{2}, {1}, {0}", 1.0 / 6}),
};

/* ---- copying a row of words: what every beginner does first, and what teaches a model to look back ---- */
static const char *copy_word(int i)
{
    static const struct {
        const char *const *word;
        int n;
    } list[] = {{ko_codes, N_CODES}, {ko_meanings, N_MEANINGS}, {ko_things, N_KO_THINGS}, {ko_places, N_KO_PLACES}};
    int k = 0;

    while (i >= list[k].n)
        i -= list[k++].n;
    return list[k].word[i];
}

static void copy_draw(struct fact *f, struct rng *r, bool held)
{
    do
        pick_distinct(r, f->v, 4, N_COPY_WORDS);
    while (fact_held(SPACE_COPY, f->v[0], f->v[1], f->v[2], f->v[3]) != held);
}

static void copy_fill(struct slots *sl, const struct fact *f)
{
    for (int i = 0; i < 4; i++)
        sl->s[i] = copy_word(f->v[i]);
}

const struct skill skill_ko_copy = {
    .pub = {"ko-copy", "ko", "copying a row of words", "낱말을 그대로 옮겨 쓰기"},
    .weight = 14, .draw = copy_draw, .fill = copy_fill, .title = "그대로 옮겨 쓰기",
    .explain = LIST("옮겨 쓸 때는 한 글자도 바꾸지 않는다.", "뜻을 모르는 낱말도 소리를 따라 똑같이 쓴다.", "앞에서부터 한 낱말씩 눈으로 짚으며 쓴다.",
        "다 쓴 뒤에는 본보기와 견주어 본다."),
    .state = LIST("본보기가 {0} {1} {2} {3}{3:라}면 {0} {1} {2} {3}{3:라}고 쓴다.",
        "{0} {1} {2} {3}, 이 네 낱말은 {0}{0:로} 시작해서 {3}{3:로} 끝난다."),
    .drill = "{0} → {0}\n{1} {2} → {1} {2}\n{0} {1} {2} {3} → {0} {1} {2} {3}",
    .qa = QA({"그대로 쓰시오: {0} {1} {2} {3}", "{0} {1} {2} {3}", 1.0 / 24}, {"{0} {1} {2} {3}, 이 낱말들을 옮겨 쓰시오.",
        "{0} {1} {2} {3}", 1.0 / 24}),
};
