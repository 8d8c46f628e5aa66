/* A program that knows nothing but include/dokja.h: prints what the model says after a prompt. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dokja.h"

static int fail(const struct dk_error *e)
{
    fprintf(stderr, "%s\n", e->message);
    return 1;
}

int main(int argc, char **argv)
{
    struct dk_error e = {0};
    struct dk_model *m;
    struct dk_context *c;
    if (argc != 3)
        return 2;
    if (dk_model_open(&m, argv[1], 1, &e))
        return fail(&e);
    int32_t ids[256];
    char back[1024];
    float nll[256];
    long n = dk_tokenize(m, ids, 256, argv[2], strlen(argv[2]), 0, &e);
    if (n < 2 || n > 256)
        return fail(&e);
    long bytes = dk_detokenize(m, back, sizeof back, ids, (size_t)n, &e);
    if (bytes != (long)strlen(argv[2]) || memcmp(back, argv[2], (size_t)bytes) != 0)
        return 3;
    if (dk_context_new(&c, m, 0, &e) || dk_score(c, ids, (int)n, nll, &e))
        return fail(&e);
    for (long i = 0; i < n - 1; i++)
        if (!(nll[i] >= 0 && nll[i] < 50))
            return 4;
    dk_context_reset(c);
    int32_t with_bos[257]; /* as the command line does */
    if (dk_tokenize(m, with_bos, 1, "<|bos|>", 7, 1, &e) != 1)
        return fail(&e);
    memcpy(with_bos + 1, ids, (size_t)n * sizeof *ids);
    char *text;
    struct dk_generate_options o = {.max_tokens = 24};
    if (dk_generate(c, with_bos, (int)n + 1, &o, &text, &e))
        return fail(&e);
    printf("%s", text);
    free(text);
    dk_context_free(c);
    dk_model_close(m);
    return 0;
}
