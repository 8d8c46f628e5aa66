/* Kinds of documents: lesson, exercise sheet, dialogue, diary, letter, notice, cards. */
#include <stdio.h>
#include <string.h>

#include "data/primer_skills.h"

#define LIST(...) (const char *const[]){__VA_ARGS__, NULL}

/* Frame slots: 0 the topic, 1 and 2 two people, 3 a date, 4 the weather, 8 the topic as a heading. */
struct page {
    struct pr_out *o;
    struct rng *r;
    bool ko;
    struct slots frame;
    const struct skill *told_of;                             /* facts of this skill told on this page */
    struct fact told[16];
    int n_told, recall;                                      /* exercises come back to the first `recall` of them */
};

struct labels {
    const char *ask, *answer;                                /* ask NULL: numbered */
};
static const struct labels labels_ko[] = {{"문제: ", "답: "}, {"문제: ", "답: "}, {"문제: ", "답: "}, {"물음: ", "답: "}, {NULL,
    "답: "}};
static const struct labels labels_en[] = {{"Question: ", "Answer: "}, {"Question: ", "Answer: "}, {"Question: ",
    "Answer: "},
    {"Q: ", "A: "}, {NULL, "Answer: "}};

static void frame(struct page *p, const char *const *list)
{
    pr_pattern(p->o, list_pick(p->r, list), &p->frame);
}

static void topic(struct page *p, const struct skill *s)
{
    char first[2] = {s->title[0], 0};

    p->frame.s[0] = p->frame.s[8] = s->title;
    if (p->ko)
        return;
    first[0] = (char)(first[0] - 'a' + 'A');
    slot_join(&p->frame, 8, first, s->title + 1, NULL);
}

static void begin(struct page *p, struct pr_out *o, struct rng *r, const struct skill *s)
{
    struct slots *f = &p->frame;
    struct fact date;
    int who[2];

    p->o = o;
    p->r = r;
    p->told_of = NULL;
    p->recall = 0;
    p->ko = s->pub.lang[0] == 'k';
    p->frame.used = 0;
    pick_distinct(r, who, 2, p->ko ? N_KO_NAMES : N_EN_NAMES);
    date_draw(&date, r, false);
    for (int i = 0; i < 2; i++)
        p->frame.s[1 + i] = p->ko ? ko_names[who[i]] : en_names[who[i]];
    if (p->ko) {
        slot_int(f, 5, date.v[0]);
        slot_int(f, 6, date.v[1]);
        slot_join(f, 7, f->s[5], "월 ", f->s[6]);
        slot_join(f, 3, f->s[7], "일", NULL);
    } else {
        slot_int(f, 6, date.v[1]);
        slot_join(f, 3, en_months[date.v[0] - 1], " ", f->s[6]);
    }
    topic(p, s);
    f->s[4] = list_pick(r, p->ko ? ko_weather : en_weather);
}

void pr_ask(struct pr_out *o, const struct qa *qa, const struct slots *sl, const char *label, const char *answer_label)
{
    pr_str(o, label);
    pr_pattern(o, qa->q, sl);
    pr_str(o, "\n");
    pr_str(o, answer_label);
}

static int qa_len(const struct skill *s)
{
    int n = 0;

    while (s->qa[n].q)
        n++;
    return n;
}

/* Two different questions about one context may not ask the same: step through them from a random start. */
struct asker {
    const struct skill *s;
    struct fact f;
    struct slots sl;
    int next, n_qa;
    int rows;                                                /* of the context, where a skill has rows */
};

/* A page comes back to its own facts, as a book does: the answer can then be found further up. */
static void draw(struct page *p, const struct skill *s, struct fact *f)
{
    enum { MOST = sizeof p->told / sizeof *p->told };

    if (p->told_of != s) {
        p->told_of = s;
        p->n_told = p->recall = 0;
    }
    if (p->recall > 0 && !s->context && pick(p->r, 2)) {
        int i = pick(p->r, p->recall--);                     /* each comes back once */
        *f = p->told[i];
        p->told[i] = p->told[p->recall];
        return;
    }
    s->draw(f, p->r, false);
    if (p->n_told < MOST)
        p->told[p->n_told++] = *f;
}

static void ask_begin(struct page *p, struct asker *a, const struct skill *s)
{
    a->s = s;
    a->n_qa = qa_len(s);
    draw(p, s, &a->f);
    a->rows = s->rows;
    if (s->shorter[0] && pick(p->r, 2)) {
        a->rows = 1 + pick(p->r, 2);
        a->f.v[0] = pick(p->r, a->rows);
    }
    a->sl.used = 0;
    s->fill(&a->sl, &a->f);
    a->next = pick(p->r, a->n_qa);
}

static const struct qa *ask_next(struct page *p, struct asker *a)
{
    const struct qa *qa = &a->s->qa[a->next];

    if (a->s->rows > 1) {                                    /* another row of the same context */
        if (a->rows > 1)
            a->f.v[0] = (a->f.v[0] + 1 + pick(p->r, a->rows - 1)) % a->rows;
        a->sl.used = 0;
        a->s->fill(&a->sl, &a->f);
    }
    a->next = (a->next + 1) % a->n_qa;
    return qa;
}

static const char *pick_context(struct page *p, const struct asker *a)
{
    return list_pick(p->r, a->rows < a->s->rows ? a->s->shorter[a->rows - 1] : a->s->context);
}

static void say_context(struct page *p, const struct asker *a)
{
    pr_pattern(p->o, pick_context(p, a), &a->sl);
}

/* n sentences that state facts, separated by `sep`. */
static void say(struct page *p, const struct skill *s, int n, const char *sep)
{
    for (int i = 0; i < n; i++) {
        struct asker a;
        if (i)
            pr_str(p->o, sep);
        ask_begin(p, &a, s);
        if (s->context) {
            const char *text = pick_context(p, &a);
            bool table = strchr(text, '\n');
            if (table)
                pr_newline(p->o);
            pr_pattern(p->o, text, &a.sl);
            pr_str(p->o, table || *sep == '\n' ? "\n" : " ");
        }
        pr_pattern(p->o, list_pick(p->r, s->state), &a.sl);
    }
}

static void exercises(struct page *p, const struct skill *s, int n)
{
    const struct labels *l = p->ko ? &labels_ko[pick(p->r, 5)] : &labels_en[pick(p->r, 5)];
    char number[16];
    struct asker a;
    int left = 0;                                            /* questions still to ask about this context */

    p->recall = p->told_of == s ? p->n_told : 0;
    p->n_told = 0;
    for (int i = 0; i < n; i++) {
        if (left == 0) {
            ask_begin(p, &a, s);
            left = !s->context ? 1 : s->rows > 1 ? 1 + a.rows : 2 + pick(p->r, 3);
            if (s->context) {
                say_context(p, &a);
                pr_str(p->o, "\n");
            }
        }
        left--;
        const struct qa *qa = ask_next(p, &a);
        snprintf(number, sizeof number, "%d. ", i + 1);
        pr_ask(p->o, qa, &a.sl, l->ask ? l->ask : number, l->answer);
        pr_pattern(p->o, qa->a, &a.sl);
        pr_str(p->o, "\n");
    }
}

static int how_many(struct page *p, const struct skill *s, int lo, int hi)
{
    int n = between(p->r, lo, hi);

    return s->context && n > 8 ? (2 * n) / 3 : n;
}

static void explain(struct page *p, const struct skill *s, int n)
{
    int len = list_len(s->explain), from = pick(p->r, len);

    for (int i = 0; i < n && i < len; i++) {
        if (i)
            pr_str(p->o, " ");
        pr_str(p->o, s->explain[(from + i) % len]);
    }
}

/* ---- genres ---- */
static void lesson(struct page *p, const struct skill *s)
{
    if (p->ko)
        frame(p, LIST("{0}\n\n오늘 배울 것은 {0}{0:다}. ", "{0}\n\n이번 시간에는 {0}{0:을} 배운다. ", "{0}\n\n{0}{0:을} 익혀 두면 쓸 곳이 많다. ",
            "{0}\n\n책을 펴고 {0}{0:을} 차근차근 살펴보자. ", "{0}\n\n앞에서 배운 것을 떠올리며 {0}{0:을} 공부해 보자. ", "{0}\n\n"));
    else
        frame(p, LIST("{8}\n\nToday we learn about {0}. ", "{8}\n\nThis lesson is about {0}. ",
            "{8}\n\nMany people find {0} useful every day. ",
            "{8}\n\nOpen your book and let us begin with {0}. ", "{8}\n\n"));
    explain(p, s, between(p->r, 2, 3));
    if (p->ko)
        frame(p, LIST("\n\n보기를 살펴보자. ", "\n\n예를 들면 다음과 같다. ", "\n\n몇 가지 예를 보자. ", "\n\n다음 글을 소리 내어 읽어 보자. ", "\n\n"));
    else
        frame(p, LIST("\n\nHere are some examples. ", "\n\nLook at these examples. ",
            "\n\nRead the following aloud. ", "\n\nFor example: ", "\n\n"));
    say(p, s, s->context ? 1 + pick(p->r, 2) : between(p->r, 2, 4), " ");
    if (p->ko)
        frame(p, LIST("\n\n이제 스스로 풀어 보자.\n", "\n\n배운 것을 문제로 확인해 보자.\n", "\n\n다음 물음에 답해 보자.\n",
            "\n\n답을 가리고 먼저 생각해 보자.\n", "\n\n연습\n"));
    else
        frame(p, LIST("\n\nNow try it yourself.\n", "\n\nCheck what you have learned.\n",
            "\n\nCover the answers and think first.\n", "\n\nExercises\n"));
    exercises(p, s, how_many(p, s, 4, 8));
    if (p->ko)
        frame(p, LIST("틀린 문제는 다시 한 번 풀어 보자.\n", "다 풀었으면 짝과 답을 맞추어 보자.\n", "어려운 점은 선생님께 여쭈어보자.\n",
            "소리 내어 읽으면 더 오래 남는다.\n", ""));
    else
        frame(p, LIST("Try the hard ones again.\n", "Compare your answers with a friend.\n",
            "Ask your teacher when something is not clear.\n", ""));
}

static void sheet(struct page *p, const struct skill *s)
{
    if (p->ko)
        frame(p, LIST("학습지: {0}\n날짜: {3}\n\n", "{0} 연습 문제\n\n", "쪽지 시험 - {0}\n천천히 읽고 답을 쓰시오.\n\n",
            "집에서 하는 공부: {0}\n\n", "{0} 되짚어 보기\n{1}{1:과} {2}{2:이} 함께 만든 문제이다.\n\n"));
    else
        frame(p, LIST("Worksheet: {8}\nDate: {3}\n\n", "Exercises on {0}\n\n",
            "Short test: {8}\nRead slowly and write the answers.\n\n",
            "Homework: {8}\n\n", "Practice with {0}\n{1} and {2} made these questions.\n\n"));
    exercises(p, s, how_many(p, s, 7, 14));
}

/* A reference table: many facts in few words. */
static void table(struct page *p, const struct skill *s)
{
    if (!s->drill) {
        sheet(p, s);
        return;
    }
    if (p->ko)
        frame(p, LIST("{0} 표\n", "한눈에 보는 표: {0}\n", "{0}\n소리 내어 읽어 보자.\n", "{1}의 공책 - {0}\n", "부록. {0}\n"));
    else
        frame(p, LIST("A table: {0}\n", "{8}: at a glance\n", "{8}\nRead the lines aloud.\n",
            "From the notebook of {1}: {0}\n", "Appendix: {0}\n"));
    int n = between(p->r, 10, 20) / (strchr(s->drill, '\n') ? 3 : 1);
    for (int i = 0; i < n; i++) {
        struct asker a;
        ask_begin(p, &a, s);
        pr_pattern(p->o, s->drill, &a.sl);
        pr_str(p->o, "\n");
    }
    pr_str(p->o, "\n");
    exercises(p, s, between(p->r, 2, 5));
}

static void dialogue(struct page *p, const struct skill *s)
{
    const char *pupil = p->frame.s[1];
    int n = how_many(p, s, 3, 6);

    if (p->ko)
        frame(p, LIST("선생님: 오늘은 {0}{0:을} 연습해 볼까요?\n{1}: 네, 좋아요.\n", "선생님: {0}, 어디까지 했지요?\n{1}: 문제를 풀 차례예요.\n",
            "{1}: 선생님, {0}에서 궁금한 것이 있어요.\n선생님: 그러면 같이 풀어 봐요.\n", "선생님: {1}, 앞으로 나와 볼까요?\n{1}: 네, 선생님.\n"));
    else
        frame(p, LIST("Teacher: Shall we practise {0} today?\n{1}: Yes, please.\n",
            "Teacher: Where did we stop with {0}?\n{1}: We were going to do some questions.\n",
            "{1}: May I ask about {0}?\nTeacher: Of course. Let us do it together.\n"));
    pr_str(p->o, p->ko ? "선생님: 책에 이렇게 적혀 있어요. “" : "Teacher: Remember what the book says. “");
    explain(p, s, 1);
    pr_str(p->o, "”\n");
    for (int i = 0; i < n; i++) {
        struct asker a;
        ask_begin(p, &a, s);
        pr_str(p->o, p->ko ? "선생님: " : "Teacher: ");
        if (i)
            frame(p, p->ko ? LIST("맞았어요. 다음 문제예요. ", "잘했어요. 그럼 이것은요? ", "좋아요. 하나 더 읽을게요. ", "")
                : LIST("That is right. ", "Well done. ", "Good. The next one. ", ""));
        if (s->context) {
            frame(p, p->ko ? LIST("잘 들어 보세요.\n", "이것을 보세요.\n") : LIST("Listen to this.\n", "Look at this.\n"));
            say_context(p, &a);
            pr_str(p->o, p->ko ? "\n선생님: " : "\nTeacher: ");
        }
        const struct qa *qa = ask_next(p, &a);
        pr_pattern(p->o, qa->q, &a.sl);
        pr_str(p->o, "\n");
        pr_str(p->o, pupil);
        pr_str(p->o, ": ");
        pr_pattern(p->o, qa->a, &a.sl);
        pr_str(p->o, "\n");
    }
    frame(p, p->ko ? LIST("선생님: 아주 잘했어요. 오늘은 여기까지 해요.\n", "선생님: 다음 시간에 또 해 봐요.\n{1}: 고맙습니다.\n")
                   : LIST("Teacher: Very good. That is enough for today.\n",
                       "Teacher: We will go on next time.\n{1}: Thank you.\n"));
}

static void diary(struct page *p, const struct skill *s)
{
    if (p->ko)
        frame(p, LIST("{3} 날씨: {4}\n\n오늘 학교에서 {0}{0:을} 배웠다. 처음에는 헷갈렸지만 {1}{1:이} 옆에서 도와주었다. 공책에 적은 것을 여기에 옮긴다. ",
            "{3} 날씨: {4}\n\n{1}{1:과} 함께 {0}{0:을} 복습했다. 배운 것을 잊지 않으려고 적어 둔다. ",
            "{3} 날씨: {4}\n\n어제 틀린 문제를 다시 보았다. {0}, 이제는 알 것 같다. "));
    else
        frame(p, LIST("{3}, {4}\n\nAt school we learned about {0}. It was hard at first, but {1} "
            "helped me. I copy what I wrote in class. ",
            "{3}, {4}\n\nI went over {0} with {1}. I write it down so that I do not forget it. ",
            "{3}, {4}\n\nYesterday I made a mistake in {0}. Now I think I understand it. "));
    say(p, s, s->context ? 1 : between(p->r, 2, 4), " ");
    frame(p, p->ko ? LIST(" 저녁을 먹고 나서 문제도 풀었다.\n", " 자기 전에 이런 문제를 풀었다.\n")
        : LIST(" After dinner I did these questions.\n", " Before bed I did some more.\n"));
    exercises(p, s, how_many(p, s, 3, 5));
    frame(p, p->ko ? LIST("내일은 내가 {1}에게 문제를 내야겠다.\n", "조금씩 하니 재미있다.\n", "")
                   : LIST("Tomorrow I will ask {1} some questions.\n", "Little by little it becomes fun.\n", ""));
}

static void letter(struct page *p, const struct skill *s)
{
    if (p->ko)
        frame(p, LIST("{1}에게\n\n잘 지내니? 나는 {2}{2:야}. 우리 반은 요즘 {0}{0:을} 배우고 있어. 선생님께서 칠판에 이렇게 적어 주셨어. ",
            "보고 싶은 {1}에게\n\n지난번 편지 고마워. 네가 물어본 {0}{0:을} 설명해 줄게. 내 공책에는 이렇게 적혀 있어. "));
    else
        frame(p, LIST("Dear {1},\n\nHow are you? Our class is learning about {0}. Our teacher wrote "
            "this on the board. ",
            "Dear {1},\n\nThank you for your letter. You asked me about {0}. This is what my notebook says. "));
    explain(p, s, between(p->r, 1, 2));
    pr_str(p->o, " ");
    say(p, s, s->context ? 1 : between(p->r, 1, 3), " ");
    frame(p, p->ko ? LIST("\n\n문제도 보낼게. 답은 밑에 적어 두었어.\n") : LIST("\n\nHere are some questions with their answers.\n"));
    exercises(p, s, how_many(p, s, 3, 5));
    frame(p, p->ko ? LIST("답장 기다릴게.\n{3}\n{2} 씀\n", "다음에 또 쓸게.\n{3}\n{2} 씀\n") : LIST("Write back soon.\n{3}\n{2}\n",
        "Your friend,\n{2}\n"));
}

static void notice(struct page *p, const struct skill *s)
{
    if (p->ko)
        frame(p, LIST("알림\n{0} 복습 안내\n\n이번 주에는 {0}{0:을} 다시 살펴봅니다. 아래 내용을 읽고 문제를 풀어 오세요.\n",
            "학부모님께\n\n아이들이 {0}{0:을} 배우고 있습니다. 집에서도 함께 읽어 주세요.\n",
            "학습 게시판\n{3}부터 {0}{0:을} 연습합니다. 준비물은 연필뿐입니다.\n"));
    else
        frame(p, LIST("Notice\n\nThis week we go over {0}. Please read the lines below and do the questions.\n",
            "To all parents\n\nYour children are learning about {0}. Please read this with them.\n",
            "Class board\nFrom {3} we practise {0}. Bring a pencil.\n"));
    explain(p, s, 2);
    pr_str(p->o, "\n");
    say(p, s, s->context ? 1 : between(p->r, 2, 4), "\n");
    pr_str(p->o, "\n\n");
    exercises(p, s, how_many(p, s, 3, 6));
    frame(p, p->ko ? LIST("담당: {1} 선생님\n", "궁금한 것은 {1} 선생님께 물어보세요.\n") : LIST("Your teacher, {1}\n",
        "Please ask {1} if anything is not clear.\n"));
}

static void cards(struct page *p, const struct skill *s)
{
    int n = how_many(p, s, 4, 8);

    if (p->ko)
        frame(p, LIST("놀이 카드: {0}\n앞면을 읽고 답을 말한 다음 뒷면을 본다.\n\n", "{1}의 카드 모음\n주제는 {0}{0:다}.\n\n"));
    else
        frame(p, LIST("Cards: {8}\nRead the front, say the answer and then turn the card.\n\n",
            "A box of cards by {1}\nThe topic is {0}.\n\n"));
    for (int i = 0; i < n; i++) {
        struct asker a;
        ask_begin(p, &a, s);
        if (s->context) {
            say_context(p, &a);
            pr_str(p->o, "\n");
        }
        const struct qa *qa = ask_next(p, &a);
        pr_ask(p->o, qa, &a.sl, p->ko ? "앞면: " : "Front: ", p->ko ? "뒷면: " : "Back: ");
        pr_pattern(p->o, qa->a, &a.sl);
        pr_str(p->o, "\n");
    }
}

void pr_document(struct pr_out *o, struct rng *r, const struct skill *a, const struct skill *b)
{
    static const struct {
        void (*write)(struct page *p, const struct skill *s);
        int weight;
    } genre[] = {{lesson, 16}, {sheet, 30}, {table, 24}, {dialogue, 7}, {diary, 6}, {letter, 6}, {notice, 5}, {cards,
        6}};
    struct page p;
    int at = pick(r, 100), i = 0;

    begin(&p, o, r, a);
    while (at >= genre[i].weight)
        at -= genre[i++].weight;
    genre[i].write(&p, a);
    if (!b)
        return;
    topic(&p, b);
    frame(&p, p.ko ? LIST("\n복습: {0}\n", "\n지난 시간에 배운 {0}\n", "\n덧붙임. {0}{0:을} 잊지 않았는지 알아보자.\n")
                   : LIST("\nReview: {8}\n", "\nFrom the last lesson: {8}\n", "\nDo you still remember {0}?\n"));
    exercises(&p, b, how_many(&p, b, 3, 5));
}
