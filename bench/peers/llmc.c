/* Times training steps of llm.c (train_gpt2.c of a checkout, which llmc.py compiles into this file) on random weights
 * and tokens: one step to warm up, then one for each line of standard input, answered by its seconds.
 *
 *   llmc LAYERS WIDTH VOCABULARY SEQUENCE BATCH WEIGHTS      WEIGHTS: a file to make, for llm.c reads its weights */
#define TESTING
#include "train_gpt2.c"

static uint64_t state = 1;

static uint32_t draw(void)
{
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(state >> 33);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void write_weights(const char *path, int layers, int width, int vocab, int seq)
{
    int head[256] = {20240326, 3, seq, vocab, layers, width / 64, width, (vocab + 127) / 128 * 128};
    GPT2Config c = {seq, vocab, head[7], layers, head[5], width};
    size_t size[NUM_PARAMETER_TENSORS], n = 0;
    FILE *f = fopenCheck(path, "wb");
    fwrite(head, sizeof head, 1, f);
    fill_in_parameter_sizes(size, c);
    for (int i = 0; i < NUM_PARAMETER_TENSORS; i++)
        n += size[i];
    for (size_t i = 0; i < n; i++) {
        float x = ((float)(draw() % 2001) - 1000.0f) * 2e-5f;
        fwrite(&x, sizeof x, 1, f);
    }
    fcloseCheck(f);
}

static double step(GPT2 *m, int *in, int *target, int batch, int seq, int number)
{
    double t = now();
    gpt2_forward(m, in, target, (size_t)batch, (size_t)seq);
    gpt2_zero_grad(m);
    gpt2_backward(m);
    gpt2_update(m, 1e-4f, 0.9f, 0.999f, 1e-8f, 0.0f, number);
    return now() - t;
}

int main(int n, char **word)
{
    if (n != 7)
        return fprintf(stderr, "usage: llmc LAYERS WIDTH VOCABULARY SEQUENCE BATCH WEIGHTS\n"), 2;
    int vocab = atoi(word[3]), seq = atoi(word[4]), batch = atoi(word[5]), tokens = batch * seq;
    GPT2 m;
    write_weights(word[6], atoi(word[1]), atoi(word[2]), vocab, seq);
    gpt2_build_from_checkpoint(&m, word[6]);
    int *in = mallocCheck(2 * sizeof(int) * (size_t)tokens), *target = in + tokens;
    for (int i = 0; i < 2 * tokens; i++)
        in[i] = (int)(draw() % (uint32_t)vocab);
    step(&m, in, target, batch, seq, 1);
    printf("\nready\n");
    fflush(stdout);
    char line[16];
    for (int number = 2; fgets(line, sizeof line, stdin); number++) {
        printf("%.6f\n", step(&m, in, target, batch, seq, number));
        fflush(stdout);
    }
    return 0;
}
