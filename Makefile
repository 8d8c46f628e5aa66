# dokja: one non-recursive Makefile.  Variants are build directories:
#   make                    release, gcc        make CC=clang
#   make V=debug|asan|tsan|o0                   make test, make fuzz
V      ?= release
CC     := $(if $(filter default,$(origin CC)),gcc,$(CC))
CCNAME := $(if $(findstring clang,$(CC)),clang,gcc)
# The machine built for.  Another one's build has a directory of its own, and its libraries come from Debian's multiarch
# folders, or from below SYSROOT (tests/peers/aarch64.sh makes one): make CC=aarch64-linux-gnu-gcc SYSROOT=DIR
ARCH   := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine)))
CROSS  := $(filter-out $(shell uname -m),$(ARCH))
B      ?= build/$(V)-$(CCNAME)$(CROSS:%=-%)
SYSROOT ?=
PKG_CONFIG ?= pkg-config
ifneq ($(CROSS),)
LIBDIR := $(SYSROOT)/usr/lib/$(ARCH)-linux-gnu
PKG_CONFIG := PKG_CONFIG_SYSROOT_DIR=$(SYSROOT) PKG_CONFIG_LIBDIR=$(LIBDIR)/pkgconfig $(PKG_CONFIG)
ifneq ($(SYSROOT),)
CROSS_CFLAGS := -isystem $(SYSROOT)/usr/include/$(ARCH)-linux-gnu -isystem $(SYSROOT)/usr/include
CROSS_LIBS := -L$(LIBDIR) -Wl,-rpath-link,$(LIBDIR):$(SYSROOT)/lib/$(ARCH)-linux-gnu
endif
endif

WARN   := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
          -Wwrite-strings -Wvla -Wformat=2 -Wundef -Werror
# NUMERICS §1: contraction only where the profile says fma; never fast-math.  Plain char is signed on x86, not on Arm.
CFLAGS_ALL := -std=c17 -D_GNU_SOURCE -ffp-contract=off -fno-math-errno -fsigned-char -fopenmp -g $(WARN) -Isrc -Iinclude \
          $(if $(filter clang,$(CCNAME)),-Wno-unknown-pragmas)
CFLAGS_release := -O2
CFLAGS_debug   := -O1 -DDK_DEBUG
CFLAGS_o0      := -O0
CFLAGS_asan    := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -DDK_DEBUG
CFLAGS_tsan    := -O1 -fsanitize=thread -DDK_DEBUG
CFLAGS  := $(CFLAGS_$(V))
PKGS    := jansson libpcre2-8 libutf8proc libzstd zlib libcrypto libedit
LIBS    := $(CROSS_LIBS) $(shell $(PKG_CONFIG) --libs $(PKGS)) -lm
CFLAGS_ALL += $(shell $(PKG_CONFIG) --cflags $(PKGS)) $(CROSS_CFLAGS)

# ISA flags exist only here.
ISA_avx2   := -mavx2 -mfma -mf16c
ISA_avx512 := $(ISA_avx2) -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512
ISA_avx512bf16 := $(ISA_avx512) -mavx512bf16
ISA_avx512vnni := $(ISA_avx512) -mavx512vnni
ISA_amx    := $(ISA_avx512) -mamx-tile -mamx-bf16 -mamx-int8
isaflags    = $(foreach i,avx2 avx512 avx512bf16 avx512vnni amx,$(if $(findstring src/kernels/$(i)/,$(1)),$(ISA_$(i)) $(PLAIN)))
# clang 14 needs minutes for instrumented, unrolled vector kernels; guard pages watch over those (tests/kernels).
PLAIN      := $(if $(filter asan-clang,$(V)-$(CCNAME)),-fno-sanitize=all -O2)

SRC     := $(filter-out src/reference/%,$(sort $(wildcard src/*/*.c src/kernels/*/*.c)))
ifneq ($(ARCH),x86_64)
SRC     := $(filter-out src/kernels/avx2/% src/kernels/avx512/% src/kernels/avx512bf16/% src/kernels/avx512vnni/% src/kernels/amx/%,$(SRC))
endif
LIBSRC  := $(filter-out src/cli/%,$(SRC))
CLISRC  := $(filter src/cli/%,$(SRC))
obj      = $(patsubst src/%.c,$(B)/%.o,$(1))
LIB     := $(B)/libdokja.a
BIN     := $(B)/dokja
# NUMERICS computed (src/reference), beside the engine and no part of it; what it needs of the kernels comes from LIB, or
# for the second verifier from KERNELS: that is its own files, these, libcrypto and nothing else.
REFOBJ  := $(call obj,$(sort $(wildcard src/reference/*.c)))
REFLIB  := $(B)/libreference.a
KERNELS := $(B)/kernels/fp_enter.o \
           $(patsubst %,$(B)/kernels/ref/%.o,attn_ref elem_ref elem_loss_ref elem_norm_ref math_ref)
VERIFY  := $(B)/dokja-verify
VERMAIN := $(B)/verify/main.o
VERLIB  := $(B)/libverify.a
VEROBJ  := $(filter-out $(VERMAIN),$(patsubst %.c,$(B)/%.o,$(sort $(wildcard verify/*.c))))

# The same reference kernels, ops and network in binary64, for gradient tests.
DSRC    := $(filter src/kernels/ref/% src/kernels/%.c src/nn/% src/base/% src/model/net%.c src/model/params%.c,$(SRC))
DSRC    := $(filter-out src/kernels/avx2/% src/kernels/avx512/% src/kernels/avx512bf16/% src/kernels/avx512vnni/% src/kernels/amx/%,$(DSRC))
DLIB    := $(B)/libdokja-double.a
# The AMX, VDPBF16PS and VPDPBUSD kernels once more on emulated instructions (docs/conventions.md, SIMD 4).
EMUL    := $(patsubst src/%.c,$(B)/emulated/%.o,$(filter src/kernels/amx/% src/kernels/avx512bf16/gemm% src/kernels/avx512vnni/%,$(SRC)))

UNIT    := $(patsubst tests/%.c,$(B)/tests/%,$(sort $(wildcard tests/unit/test_*.c tests/fault/test_*.c)))
KERN    := $(patsubst tests/%.c,$(B)/tests/%,$(sort $(wildcard tests/kernels/test_*.c)))
KERN    := $(if $(EMUL),$(KERN),$(filter-out %/test_selftest_emulated,$(KERN)))
GRAD    := $(patsubst tests/%.c,$(B)/tests/%,$(sort $(wildcard tests/grad/test_*.c)))
TESTS   := $(UNIT) $(KERN) $(GRAD)
FUZZSRC := $(sort $(wildcard tests/fuzz/fuzz_*.c))
REPLAY  := $(patsubst tests/%.c,$(B)/tests/%,$(FUZZSRC))

all: $(BIN) $(VERIFY)
lib: $(LIB)
tests: $(TESTS) $(REPLAY) $(BIN) $(VERIFY)

$(B)/%.o: src/%.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) $(CFLAGS) $(call isaflags,$<) -MMD -MP -c $< -o $@
$(B)/double/%.o: src/%.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) $(CFLAGS) -DDK_DOUBLE -MMD -MP -c $< -o $@
$(B)/emulated/%.o: src/%.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) $(CFLAGS) $(ISA_avx512) -DDK_TILE_EMULATED -DDK_DOT_EMULATED -DDK_VNNI_EMULATED -MMD -MP -c $< -o $@
$(LIB): $(call obj,$(LIBSRC))
	@rm -f $@
	@ar rcs $@ $^
$(REFLIB): $(REFOBJ)
	@rm -f $@
	@ar rcs $@ $^
$(DLIB): $(patsubst src/%.c,$(B)/double/%.o,$(DSRC))
	@rm -f $@
	@ar rcs $@ $^
$(BIN): $(call obj,$(CLISRC)) $(LIB)
	$(CC) $(CFLAGS) -fopenmp $^ -o $@ $(LIBS)

$(B)/verify/%.o: verify/%.c
	@mkdir -p $(@D)
	$(CC) $(filter-out -fopenmp,$(CFLAGS_ALL)) -I. $(CFLAGS) -MMD -MP -c $< -o $@
$(VERLIB): $(VEROBJ) $(REFOBJ) $(KERNELS)
	@rm -f $@
	@ar rcs $@ $^
$(VERIFY): $(VERMAIN) $(VERLIB)
	$(CC) $(CFLAGS) $^ -o $@ $(CROSS_LIBS) $(shell $(PKG_CONFIG) --libs libcrypto) -lm

# The source tree's own digest (src/base/build.h), compiled into one object.
TREE    := $(sort Makefile $(wildcard include/*.h src/*/*.[ch] src/*/*/*.[ch] src/ui/*))
TREE    := $(filter-out src/reference/%,$(TREE))
DIGEST   = $(shell sha256sum $(TREE) | sha256sum | cut -c 1-64)
$(B)/base/build.o $(B)/double/base/build.o: CFLAGS_ALL += -DDK_SOURCE='"$(DIGEST)"'
$(B)/base/build.o $(B)/double/base/build.o: $(TREE)
source-digest:
	@echo $(DIGEST)

TESTCC = $(CC) $(CFLAGS_ALL) $(CFLAGS) -Itests -MMD -MP -MT $@ -MF $@.d
$(UNIT): $(B)/tests/%: tests/%.c $(REFLIB) $(LIB)
	@mkdir -p $(@D)
	$(TESTCC) $< -o $@ $(REFLIB) $(LIB) $(LIBS) -lcmocka
$(KERN): $(B)/tests/%: tests/%.c $(REFLIB) $(LIB) $(EMUL)
	@mkdir -p $(@D)
	$(TESTCC) $< -o $@ $(EMUL) $(REFLIB) $(LIB) $(LIBS) -lcmocka
$(GRAD): $(B)/tests/%: tests/%.c $(DLIB)
	@mkdir -p $(@D)
	$(TESTCC) -DDK_DOUBLE $< -o $@ $(DLIB) $(LIBS) -lcmocka
# Fuzz targets: with a plain main that replays the corpus, or (make fuzz) under libFuzzer.
$(B)/tests/fuzz/corpus_main.o: tests/fuzz/corpus_main.c
	@mkdir -p $(@D)
	$(TESTCC) -c $< -o $@
# Those of the second verifier are its own, without the library.
FUZZLIB  = $(if $(findstring /fuzz_verify_,$@),$(VERLIB),$(LIB))
$(REPLAY): $(B)/tests/%: tests/%.c $(B)/tests/fuzz/corpus_main.o $(LIB) $(VERLIB)
	$(TESTCC) -I. $< $(B)/tests/fuzz/corpus_main.o -o $@ $(FUZZLIB) $(LIBS)
# FUZZ_SECONDS each; what is found stays in build/fuzz/NAME. The library once more, instrumented.
FUZZ_SECONDS ?= 60
FUZZBIN := $(patsubst tests/fuzz/%.c,build/fuzz/bin/%,$(FUZZSRC))
fuzz:
	$(MAKE) V=asan CC=clang B=build/fuzz CFLAGS="$(CFLAGS_asan) -fsanitize=fuzzer-no-link" fuzzbin
	set -e; for f in $(FUZZBIN); do n=$$(basename $$f); c=tests/fuzz/corpus/$${n#fuzz_}; mkdir -p build/fuzz/$$n; \
	  echo "$$n: $(FUZZ_SECONDS) s"; $$f -max_total_time=$(FUZZ_SECONDS) -max_len=65536 -timeout=20 -verbosity=0 \
	  -artifact_prefix=build/fuzz/$$n- build/fuzz/$$n $$( [ -d $$c ] && echo $$c ); done
fuzzbin: $(FUZZBIN)
$(FUZZBIN): build/fuzz/bin/%: tests/fuzz/%.c $(LIB) $(VERLIB)
	@mkdir -p $(@D)
	clang $(CFLAGS_ALL) $(CFLAGS_asan) -Itests -I. -MMD -MP -MT $@ -MF $@.d -fsanitize=fuzzer $< -o $@ $(FUZZLIB) $(LIBS)
test:
	./test.sh --quick

clean:
	rm -rf build
-include $(shell find $(B) -name '*.d' 2>/dev/null)
.PHONY: all source-digest lib tests fuzz fuzzbin test clean
.SECONDARY:
