/* What the targets of dokja-verify's readers share: a run that they are of, and a limit to its memory. */
#ifndef DK_TESTS_FUZZ_VERIFY_H
#define DK_TESTS_FUZZ_VERIFY_H

#include "fuzz/fuzz.h"
#include "verify/verify.h"

static const char fuzz_genesis[] =
    "spec dokja-ledger/1\nprofile T1\n"
    "selftest 5e906e106cc2e7c07d78fb85145d300ceb747370c756409742706a67c19088ae\n"
    "source 0000000000000000000000000000000000000000000000000000000000000000\n"
    "compiler gcc\nholder nobody\ncreated 2026-01-01T00:00:00Z\n"
    "key d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a\n"
    "beacon self\nancestors 0\n"
    "corpus_root 0101010101010101010101010101010101010101010101010101010101010101\n"
    "tokenizer 0202020202020202020202020202020202020202020202020202020202020202\n"
    "corpus_docs 4\ncorpus_bytes 900\ntrain_docs 3\ntrain_tokens 150\nheldout_docs 1\nheldout_tokens 40\n"
    "arch Qwen3ForCausalLM\nvocab 300\nd_model 16\nmax_pos 64\ntied 1\nnorm_eps 0x3eb0c6f7a0b5ed8d\n"
    "rope_theta 0x40b3880000000000\nbos 0\neos 1\nn_layer 2\n"
    "n_head 2\nn_kv 1\nd_head 4\nd_ff 4\nwindow 0\nqk_norm 1\nrope 1\n"
    "n_head 2\nn_kv 1\nd_head 4\nd_ff 4\nwindow 20\nqk_norm 1\nrope 1\n"
    "heldout 0x3fb999999999999a\nseq 32\nseq_start 32\nstart_steps 0\nbatch_tokens 64\nworkers 1\nsteps 6\n"
    "segment_steps 1\nwarmup 0x3fa999999999999a\ndecay 0x3fe3333333333333\nfloor 0x3f947ae147ae147b\n"
    "final_eval_tokens 64\nschedule wsd\noptimizer normuon\n"
    "lr_matrix 0x3f947ae147ae147b\nlr_embed 0x3f9160bb2fff6952\nlr_head 0x3f9160bb2fff6952\n"
    "lr_gain 0x3f689374bc6a7efa\nmomentum 0x3feccccccccccccd\nbeta1 0x3feccccccccccccd\n"
    "beta2 0x3fefae147ae147ae\neps 0x3ddb7cdfd9d7bdbb\nbeta2_row 0x3fee666666666666\n"
    "decay_matrix 0x3fa999999999999a\ndecay_embed 0x0000000000000000\nclip 0x3ff0000000000000\n";

/* Once, before an input. */
static inline void fuzz_verify_begin(void)
{
    most_memory = 64 << 20;
    ref_begin();
}

/* A ledger of that GENESIS alone as ledger.bin; its path, good until the next fuzz_file. */
static inline const char *fuzz_ledger_of_genesis(void)
{
    enum { TEXT_AT = 8 + 4 + 1 + PREV, LEN = TEXT_AT + sizeof fuzz_genesis - 1 };
    static uint8_t d[LEN] = "dokjaLG1";
    uint32_t n = LEN - 8 - 4;
    for (int i = 0; i < 4; i++) d[8 + i] = (uint8_t)(n >> 8 * i);
    d[12] = GENESIS;
    memcpy(d + TEXT_AT, fuzz_genesis, LEN - TEXT_AT);
    return fuzz_file("ledger.bin", d, LEN);
}

#endif
