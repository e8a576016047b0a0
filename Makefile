# darkroom: make demo | check | bench | lint | mutants | all | clean          (see README.md)
#
# Objects, generated code and programs land in build/ (release), build/asan/ and build/tsan/; VARIANT chooses.
# make CUDA=1 builds the same with the CUDA backend, in build/cuda/.
# A room is a folder of sources; each becomes one static library, and DEPS_<room> is what it may link with.

, := ,
VARIANT ?= release
ifeq ($(CUDA),1)
ifneq ($(filter-out release cuda,$(VARIANT)),)
$(error CUDA=1 is a variant of its own: leave VARIANT=$(VARIANT) out)
endif
override VARIANT := cuda
endif
B := $(if $(filter release,$(VARIANT)),build,build/$(VARIANT))

CC := $(if $(filter fuzz,$(VARIANT)),clang,gcc)
PROTOC_C := protoc-c
PACKAGES := libzmq libprotobuf-c hiredis libcurl libcrypto libpng libmicrohttpd jansson libpcre2-8 libutf8proc libjpeg libwebp libwebpmux libwebpdemux libexif
WARNINGS := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings -Wvla
FLAGS_release := -O2 -g
FLAGS_asan := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
FLAGS_tsan := -O1 -g -fsanitize=thread -fno-omit-frame-pointer
FLAGS_cuda := $(FLAGS_release)
FLAGS_fuzz := -O1 -g -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all -Wno-unknown-pragmas
OPENMP_fuzz :=
OPENMP_release := -fopenmp
OPENMP_cuda := -fopenmp
OPENMP_asan := -fopenmp
OPENMP_tsan := -fopenmp
FLAGS_emulated := $(FLAGS_asan)
OPENMP_emulated := -fopenmp
CPPFLAGS = -I. -I$(B)/gen -D_GNU_SOURCE $(CPPFLAGS_$(VARIANT))
CFLAGS := -std=c17 $(WARNINGS) $(FLAGS_$(VARIANT)) $(OPENMP_$(VARIANT)) -MMD -MP
LDFLAGS := $(FLAGS_$(VARIANT)) $(OPENMP_$(VARIANT)) -Wl,--as-needed
LDLIBS = $(shell pkg-config --libs $(PACKAGES)) -ldnnl $(LDLIBS_$(VARIANT)) -lm -lpthread

# the CUDA toolkit: CUDA_HOME, else the machine's, else what deploy/install-cuda brought. The runtime is linked statically;
# cuBLASLt, cuDNN and the driver are looked for when a GPU is first used, so a program starts without them. -------------------
ifeq ($(VARIANT),cuda)
WHEELS := $(wildcard .cuda/lib/python3*/site-packages/nvidia)
CUDA_HOME ?= $(firstword $(patsubst %/bin/nvcc,%,$(wildcard /usr/local/cuda/bin/nvcc $(WHEELS:%=%/cu13/bin/nvcc))))
CUDNN_PLACES := $(CUDA_HOME) $(CUDA_HOME)/../cudnn $(WHEELS:%=%/cudnn)
CUDNN_HOME ?= $(firstword $(patsubst %/include/cudnn_graph.h,%,$(wildcard $(CUDNN_PLACES:%=%/include/cudnn_graph.h))))
ifeq ($(and $(CUDA_HOME),$(wildcard $(CUDA_HOME)/bin/nvcc)),)
$(error make CUDA=1: no CUDA toolkit in CUDA_HOME, /usr/local/cuda or .cuda (deploy/install-cuda brings one))
endif
NVCC := $(CUDA_HOME)/bin/nvcc
# Where gcc is ccache's, nvcc goes through it too, and in no other mode: ccache asks nvcc for the preprocessed source of one
# architecture only, and takes two sources that differ for another one as the same.
CCACHE ?= $(if $(findstring ccache,$(shell command -v $(CC))),CCACHE_DEPEND=1 ccache)
NVCC_ARCHITECTURES := 80,sm_80 89,sm_89 90a,sm_90a 90,compute_90
# No products and sums are joined but where fmaf says so: then a value's bits do not depend on which of a kernel's ways it went.
NVCC_FLAGS := -std=c++17 -O3 -fmad=false $(foreach a,$(NVCC_ARCHITECTURES),-gencode arch=compute_$(subst $(,),$(,)code=,$(a))) \
  -Werror all-warnings -Xcompiler -Wall$(,)-Wextra$(,)-Werror -MMD -MP
CPPFLAGS_cuda := $(patsubst %,-isystem %/include,$(CUDA_HOME) $(CUDNN_HOME))
LDLIBS_cuda := -L$(CUDA_HOME)/lib64 -L$(CUDA_HOME)/lib -lcudart_static -lstdc++ -ldl -lrt
endif

# the same sources without a GPU: kernels compiled by g++ over tests/emulation, which stands in for the runtime, for NVIDIA's
# libraries (kernels/cuda/library*.c) and for the processor's own instructions ----------------------------------------------------
ifeq ($(VARIANT),emulated)
CPPFLAGS_emulated := -iquote tests/emulation/include -Itests/emulation/include
LDLIBS_emulated := -lstdc++
REPLACED := $(wildcard kernels/cuda/library*.c)
EMULATION := $(patsubst %.cpp,$(B)/%.cpp.o,$(wildcard tests/emulation/*.cpp))
LOOPS := $(patsubst %.c,$(B)/%.o,$(wildcard tests/emulation/*.c))
CXXFLAGS := -std=c++17 -Wall -Wextra -Werror -Wshadow -Wno-unknown-pragmas $(FLAGS_emulated) -fno-exceptions -fno-sanitize=vptr
# Section: the shared variables' bounds are checked too. Aliasing: nvcc assumes nothing of it.
KERNEL_FLAGS := -O2 -Wno-shadow -fno-strict-aliasing -fsanitize-sections=emulated_shared
$(B)/%.cpp.o: %.cpp
	@mkdir -p $(@D)
	$(CXX) $(CPPFLAGS) $(CXXFLAGS) -O2 -MMD -MP -c $< -o $@
$(B)/%.cu.o: %.cu
	@mkdir -p $(@D)
	$(CXX) $(CPPFLAGS) $(CXXFLAGS) $(KERNEL_FLAGS) -MMD -MP -x c++ -c $< -o $@
endif

# room: folders ------------------------------------------------------------------------------------------------------
DIRS_base := base
DIRS_monitoring := monitoring
DIRS_proto := proto
DIRS_s3 := s3
DIRS_images := images
DIRS_store := store
DIRS_kernels := kernels kernels/ref kernels/cpu $(if $(filter cuda emulated,$(VARIANT)),kernels/cuda)
DIRS_sampler := worker/sampler
DIRS_model := worker/model
DIRS_engine := worker/engine
DIRS_media := worker/media
DIRS_worker := worker
DIRS_broker := broker
DIRS_cli := cli
ROOMS := base monitoring proto s3 images store kernels sampler model engine media worker broker cli

# room: what it links with, itself first (the include check holds the same picture) -----------------------------------
DEPS_base := base
DEPS_monitoring := monitoring base
DEPS_proto := proto base
DEPS_s3 := s3 base
DEPS_images := images base
DEPS_store := store s3 monitoring base
DEPS_kernels := kernels base
DEPS_sampler := sampler base
DEPS_model := model kernels base
DEPS_engine := engine images model sampler kernels proto monitoring base
DEPS_media := media store images s3 proto monitoring base
DEPS_worker := worker media store engine images s3 model sampler kernels proto monitoring base
DEPS_broker := broker proto monitoring base
DEPS_cli := cli store s3 proto monitoring base

PROGRAMS := $(B)/darkroom-broker $(B)/darkroom-worker $(B)/darkroom
.PHONY: all parity circles names tools check cuda-check cuda-tidy cuda-tools bench benches lint format docs demo gallery clean tests unit mutants fuzz fuzz-programs stories storm plots tsan emulated emulated-programs emulated-units emulated-stories packages-check gpu-package
all: $(PROGRAMS)

# libraries ----------------------------------------------------------------------------------------------------------
sources = $(filter-out %/main.c $(REPLACED),$(foreach d,$(DIRS_$(1)),$(wildcard $(d)/*.c)))
GEN_proto := $(B)/gen/proto/darkroom.pb-c.c
GEN_engine := $(B)/gen/worker/engine/pipe.pb-c.c $(B)/gen/worker/engine/answers.pb-c.c
GEN_broker := $(B)/gen/broker/scripts.c
cuda_sources = $(foreach d,$(DIRS_$(1)),$(wildcard $(d)/*.cu))
objects = $(patsubst %.c,$(B)/%.o,$(call sources,$(1))) $(patsubst %.cu,$(B)/%.cu.o,$(call cuda_sources,$(1))) \
  $(patsubst %.c,%.o,$(GEN_$(1))) $(if $(filter kernels,$(1)),$(EMULATION) $(LOOPS))
define room
$(B)/lib$(1).a: $(call objects,$(1))
	@rm -f $$@; ar rcs $$@ $$^
endef
$(foreach r,$(ROOMS),$(eval $(call room,$(r))))
libs = $(foreach r,$(DEPS_$(1)),$(B)/lib$(r).a)

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(CFLAGS_$(firstword $(subst /, ,$*))) -c $< -o $@
ifeq ($(VARIANT),cuda)
$(B)/%.cu.o: %.cu
	@mkdir -p $(@D)
	$(CCACHE) $(NVCC) $(CPPFLAGS) $(NVCC_FLAGS) -c $< -o $@
endif
CFLAGS_kernels := $(if $(filter release cuda,$(VARIANT)),-O3 -fno-math-errno) $(if $(filter emulated,$(VARIANT)),-O2) $(if $(filter cuda emulated,$(VARIANT)),-DDARKROOM_CUDA)

# generated code: a room waits for the headers of the rooms it links with, and for no others --------------------------
HEADERS_proto := $(B)/gen/proto/darkroom.pb-c.h
HEADERS_engine := $(B)/gen/worker/engine/pipe.pb-c.h $(B)/gen/worker/engine/answers.pb-c.h
HEADERS_broker := $(B)/gen/broker/scripts.h
headers = $(foreach d,$(DEPS_$(1)),$(HEADERS_$(d)))
GENERATED_HEADERS := $(foreach r,$(ROOMS),$(HEADERS_$(r)))
$(B)/gen/%.pb-c.c $(B)/gen/%.pb-c.h: %.proto
	@mkdir -p $(B)/gen
	$(PROTOC_C) --c_out=$(B)/gen $<
$(B)/gen/broker/scripts.c $(B)/gen/broker/scripts.h &: broker/embed-scripts $(wildcard broker/lua/*.lua) \
  broker/keys.h broker/terms.h base/limits.h base/limits_job.h
	@mkdir -p $(@D)
	broker/embed-scripts $(@D) broker/lua/*.lua
$(B)/gen/%.o: $(B)/gen/%.c
	$(CC) $(CPPFLAGS) $(CFLAGS) -Wno-missing-prototypes -c $< -o $@
define generated_first
$(patsubst %.c,$(B)/%.o,$(call sources,$(1))) $(DIRS_$(1):%=$(B)/%/main.o) $(patsubst %.c,%.o,$(GEN_$(1))): \
  | $(call headers,$(1))
endef
$(foreach r,$(ROOMS),$(eval $(call generated_first,$(r))))

# programs -----------------------------------------------------------------------------------------------------------
$(B)/darkroom-broker: $(B)/broker/main.o $(call libs,broker)
	$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@
$(B)/darkroom-worker: $(B)/worker/main.o $(call libs,worker)
	$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@
$(B)/darkroom: $(B)/cli/main.o $(call libs,cli)
	$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@

# unit tests: tests/unit/<room>/test_*.c, each its own cmocka program linked with its room -----------------------------
# test_cuda_launch_*.c call kernels by themselves, in builds that have any.
UNIT := $(filter-out $(if $(filter cuda emulated,$(VARIANT)),,tests/unit/kernels/test_cuda_launch_%.c), \
  $(wildcard tests/unit/*/test_*.c))
TESTS := $(UNIT:%.c=$(B)/%)
WITH_kernels := $(B)/tests/cases/cases.o $(B)/tests/cases/tables.o $(B)/tests/cases/rows.o
define unit_test
$(B)/tests/unit/$(1)/test_%: $(B)/tests/unit/$(1)/test_%.o $(WITH_$(1)) $(call libs,$(1))
	$(CC) $(LDFLAGS) $$^ $$(LDLIBS) -lcmocka -o $$@
$(patsubst %.c,$(B)/%.o,$(wildcard tests/unit/$(1)/*.c)): | $(call headers,$(1))
endef
$(foreach r,$(ROOMS),$(eval $(call unit_test,$(r))))
tests: $(TESTS)
unit: tests
	@tests/run-unit $(TESTS)

# NVML without a driver: a library that programs of any variant load (LD_LIBRARY_PATH), so without sanitizers
NVML := $(B)/tests/emulation/libnvidia-ml.so.1
$(NVML): tests/emulation/nvml/nvml.c
	@mkdir -p $(@D)
	$(CC) -std=c17 $(filter-out -Wmissing-prototypes,$(WARNINGS)) -O1 -g -D_GNU_SOURCE -shared -fPIC -fvisibility=hidden $< -o $@

$(B)/tests/unit/worker/test_gpus: | $(NVML)

# the backend over the emulation: what stands for every machine, under several seeds (tests/emulation/README.md) ----------------
ifeq ($(VARIANT),emulated)
$(B)/tests/emulation/%: $(B)/tests/emulation/programs/%.cu.o $(EMULATION)
	$(CXX) $(LDFLAGS) $^ $(LDLIBS) -lcmocka -o $@
endif
EMULATED := $(patsubst tests/emulation/programs/%.cu,build/emulated/tests/emulation/%,$(wildcard tests/emulation/programs/*.cu))
EMULATED_UNIT := $(patsubst %.c,build/emulated/%,$(wildcard tests/unit/*/test_cuda_*.c))
emulated-programs: $(EMULATED) build/emulated/tests/emulation/libnvidia-ml.so.1 $(EMULATED_UNIT)
emulated:
	@$(MAKE) -s -j$(JOBS) VARIANT=emulated all emulated-programs build/emulated/darkroom-gpu
	@$(MAKE) -s -j2 emulated-units emulated-stories
emulated-units:
	@UNIT_JOBS=1 EMULATION_SEED=1 tests/run-unit $(EMULATED_UNIT)
	@UNIT_JOBS=1 EMULATION_SEED=2 tests/run-unit $(filter-out %/test_cuda_cases %/test_cuda_engine,$(EMULATED_UNIT))
emulated-stories:
	@DARKROOM_BUILD=$(abspath build/emulated) $(PYTHON) -m pytest -q -p no:cacheprovider tests/emulation tests/gpu

# fuzz targets: tests/fuzz/fuzz_<name>.c, built by clang with libFuzzer (VARIANT=fuzz) and run for FUZZ_SECONDS ----------
FUZZ := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_SECONDS ?= 15
$(B)/tests/fuzz/fuzz_state: $(B)/worker/engine/record.o
$(B)/tests/fuzz/fuzz_%: $(B)/tests/fuzz/fuzz_%.o $(B)/libimages.a $(B)/libproto.a $(B)/libmodel.a $(B)/libsampler.a $(B)/kernels/tensor.o $(B)/libbase.a
	$(CC) $(LDFLAGS) -fsanitize=fuzzer -Wl,--start-group $^ -Wl,--end-group $(LDLIBS) -o $@
$(patsubst %,$(B)/tests/fuzz/fuzz_%.o,$(FUZZ)): | $(HEADERS_proto)
fuzz-programs: $(FUZZ:%=$(B)/tests/fuzz/fuzz_%)
fuzz:
	@$(MAKE) -s VARIANT=fuzz fuzz-programs
	@tests/fuzz/run-fuzz $(FUZZ_SECONDS) $(FUZZ)

# stories over the real programs; they take the programs of this VARIANT ------------------------------------------------
PYTHON := /usr/bin/python3
STORIES ?= tests/proof tests/images tests/broker tests/flow tests/faults tests/s3 tests/model tests/gpu
stories: all $(NVML) $(B)/darkroom-gpu $(B)/tests/images/picture $(B)/tests/bench/fleet
	DARKROOM_BUILD=$(abspath $(B)) $(PYTHON) -m pytest -q -p no:cacheprovider $(STORIES)

# long storms, seeded: everything dies at random under real brokers, the explorer, and a simulated fleet of full size ------------
SEEDS ?= 1 2 3
STORM_SECONDS ?= 60
SIM_JOBS ?= 1000000
SIM_DEVICES ?= 2000
storm: all $(B)/tests/bench/fleet
	@deploy/install-packages build run check
	@for seed in $(SEEDS); do DARKROOM_BUILD=$(abspath $(B)) STORM_SEED=$$seed STORM_SECONDS=$(STORM_SECONDS) \
	  $(PYTHON) -m pytest -q -p no:cacheprovider tests/broker/test_95_storm.py || exit 1; done
	@DARKROOM_BUILD=$(abspath $(B)) EXPLORER_SEEDS=500 $(PYTHON) -m pytest -q -p no:cacheprovider tests/broker/test_90_explorer.py
	@DARKROOM_BUILD=$(abspath $(B)) SIM_SEEDS="$(SEEDS)" SIM_SCALE=10 SIM_TIMES=100 SIM_JOBS=$(SIM_JOBS) SIM_DEVICES=$(SIM_DEVICES) \
	  FLEET_WORKERS=$(SIM_DEVICES) FLEET_JOBS=$(SIM_JOBS) FLEET_SEEDS="$(firstword $(SEEDS))" \
	  $(PYTHON) -m pytest -q -s -p no:cacheprovider tests/proof/test_20_shares.py tests/proof/test_30_fleet.py

# pictures of what that fleet does, for docs/
plots: all
	@deploy/install-packages run check plots
	DARKROOM_BUILD=$(abspath $(B)) $(PYTHON) tests/proof/plot.py docs

# the slow ones: a model of full size with random weights, 2 GB in build/; the figures are for the machine that they ran on
story-full: all
	DARKROOM_BUILD=$(abspath $(B)) $(PYTHON) -m pytest -q -s -p no:cacheprovider tests/full

# a model of full size through the fleet, against diffusers on the same weights: make parity MODEL=sdxl SIDE=512 -------------
.reference/bin/python: tests/model/requirements.txt
	$(PYTHON) -m venv .reference
	.reference/bin/pip install -q -r $<
	@touch $@
parity: all .reference/bin/python
	@test -n "$(MODEL)" || { echo "make parity MODEL=sd15|sd21|sdxl|refiner|inpaint|controlnet|lora [SIDE=256] [STEPS=3]" >&2; exit 64; }
	DARKROOM_BUILD=$(abspath $(B)) $(PYTHON) tests/full/parity.py $(MODEL) --side $(or $(SIDE),256) --steps $(or $(STEPS),3)

# tidiness --------------------------------------------------------------------------------------------------------------
LINTED := $(foreach d,$(foreach r,$(ROOMS),$(DIRS_$(r))),$(wildcard $(d)/*.c))
FORMATTED := $(LINTED) $(foreach d,$(foreach r,$(ROOMS),$(DIRS_$(r))),$(wildcard $(d)/*.h)) \
  $(wildcard tests/*/*.c tests/*/*.h tests/*/*/*.c tests/*/*/*.h tests/emulation/*.cpp tests/emulation/*/*.cu) \
  $(wildcard kernels/cuda/*.c kernels/cuda/*.h kernels/cuda/*.cu kernels/cuda/*.cuh) $(shell find tests/emulation/include -name '*.h' -o -name '*.cuh')
lint: $(GENERATED_HEADERS)
	@deploy/install-packages build lint
	$(PYTHON) tests/check/check.py
	@$(PYTHON) tests/mutants/run-mutants --check
	clang-format --dry-run -Werror $(FORMATTED)
	@printf '%s\n' $(LINTED) | xargs -P 2 -n 4 tests/check/tidy $(CPPFLAGS)
# By symbols and not by headers, so it wants the objects.
circles: $(foreach r,$(ROOMS),$(B)/lib$(r).a)
	@$(PYTHON) tests/check/circles.py $(foreach r,$(ROOMS),-- $(r) $(call objects,$(r)))
# Names that nobody outside their file uses, by symbols as well: of all programs and all tests.
names: all tests benches tools
	@$(PYTHON) tests/check/names.py $(B)
# The contract's enums come from a table and must be there before anything is built.
docs:
	$(PYTHON) tests/check/samplers.py
	@$(MAKE) -s all
	$(PYTHON) tests/check/reference.py $(B)
format:
	clang-format -i $(FORMATTED)

# the two commands ------------------------------------------------------------------------------------------------------
JOBS := $(shell nproc)
packages-check:
	@deploy/install-packages build run check lint s3 proof
check: packages-check
	@$(MAKE) -s lint
	@$(MAKE) -s -j$(JOBS) all tests
	@$(MAKE) -s -j$(JOBS) VARIANT=asan all tests
	@$(MAKE) -s circles names
	@$(PYTHON) tests/check/reference.py $(B) --check
	@$(MAKE) -s unit
	@$(MAKE) -s VARIANT=asan unit
	@$(MAKE) -s tsan
	@$(MAKE) -s fuzz
	@$(MAKE) -s emulated
	@$(MAKE) -s stories
# The GPU's side, for real: compiled and linked with the toolkit, and started where there may be no GPU.
cuda-check:
	@deploy/install-packages build run check lint cuda
	@deploy/install-cuda
	@$(MAKE) -s CUDA=1 cuda-tidy
	@$(MAKE) -s -j$(JOBS) CUDA=1 all cuda-tools
	@$(MAKE) -s CUDA=1 STORIES=tests/cuda stories
	@$(MAKE) -s gpu-package
# clang-tidy over the C files of the backend, with the toolkit's own headers (tidy wants a flag to be one word).
cuda-tidy:
	@printf '%s\n' $(wildcard kernels/cuda/*.c tests/cuda/*.c) | \
	  xargs -P 2 -n 4 tests/check/tidy $(subst -isystem /,-isystem/,$(subst -isystem .,-isystem.,$(CPPFLAGS)))
# What its libraries would be asked, over a driver that only loads code.
cuda-tools: $(B)/tests/cuda/graphs $(B)/tests/cuda/libcuda.so.1
$(B)/tests/cuda/graphs: $(B)/tests/cuda/graphs.o $(call libs,kernels)
	$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@
$(B)/tests/cuda/libcuda.so.1: tests/cuda/driver.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -shared -fPIC -Wl,-soname,$(@F) $< -o $@
tsan:
	@$(MAKE) -s -j$(JOBS) VARIANT=tsan $(TSAN_TESTS:%=build/tsan/%)
	@TSAN_OPTIONS="suppressions=tests/tsan.supp $$TSAN_OPTIONS" tests/run-unit $(TSAN_TESTS:%=build/tsan/%)
TSAN_TESTS := $(patsubst %.c,%,$(wildcard tests/unit/monitoring/test_*.c tests/unit/broker/test_resolver.c tests/unit/proto/test_context.c tests/unit/media/test_*.c tests/unit/worker/test_*.c))
demo:
	@deploy/install-packages build run
	@$(MAKE) -s -j$(JOBS) all
	@PROMPT="$(PROMPT)" OUT="$(OUT)" SEED="$(SEED)" STEPS="$(STEPS)" SIZE="$(SIZE)" BUILD=$(B) deploy/demo
# docs/gallery.md: every feature's command and the picture that it made
gallery:
	@deploy/install-packages build run check
	@$(MAKE) -s -j$(JOBS) all
	@$(PYTHON) models/gallery.py

# would the tests notice? one-line changes of the source (tests/mutants), tried in a copy: N= of them, chosen by SEED=, or all -----
mutants:
	@deploy/install-packages build run check s3
	@$(PYTHON) tests/mutants/run-mutants --sample "$(or $(N),0)" --seed "$(or $(SEED),1)" --only "$(ONLY)"

# tools of tests/model: our side of comparisons with other implementations
$(B)/tests/model/%: $(B)/tests/model/%.o $(call libs,model)
	$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@
tools: $(patsubst %.c,$(B)/%,$(wildcard tests/model/*.c))

# the images room for tests/images, which holds it to Pillow
$(B)/tests/images/%: $(B)/tests/images/%.o $(call libs,images)
	$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@

# measurements: tests/bench/bench_<name>.c and bystanders.py print `name value unit` -------------------------------------
BENCHES := $(patsubst %.c,$(B)/%,$(wildcard tests/bench/bench_*.c))
$(B)/tests/bench/bench_%: $(B)/tests/bench/bench_%.o $(WITH_kernels) $(call libs,worker) $(B)/libbroker.a
	$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@
$(patsubst %.c,$(B)/%.o,$(wildcard tests/bench/*.c)): | $(GENERATED_HEADERS)
# What others pay for the same: peers that run-bench-queue measures beside us (node and BullMQ come when they are asked for).
$(B)/tests/bench/peers/floor: $(B)/tests/bench/peers/floor.o $(B)/libbase.a
	$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@
# Many workers in one process, for stories and storms too.
$(B)/tests/bench/fleet: $(B)/tests/bench/fleet.o $(call libs,broker)
	$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@
benches: $(BENCHES) $(B)/tests/bench/peers/floor $(B)/tests/bench/fleet
bench:
	@deploy/install-packages build run check
	@$(MAKE) -s -j$(JOBS) all benches
	@tests/bench/run-bench $(B)

# what is looked at when a GPU can be had (tests/gpu): one program, gpu-check and gpu-bench in one, for its GPU code is large
GPU := $(patsubst %.c,$(B)/%.o,$(wildcard tests/gpu/*.c))
$(GPU): | $(call headers,engine)
$(B)/darkroom-gpu: $(GPU) $(WITH_kernels) $(call libs,engine)
	$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@
# The same for a machine that has none of our packages: they are linked in, and the cpu backend, whose oneDNN is large, is not.
GPU_LIBRARIES := $(patsubst %,-l:lib%.a,protobuf-c jansson pcre2-8 utf8proc crypto gomp)
$(B)/gpu/device.o: kernels/device.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(CFLAGS_kernels) -DDARKROOM_WITHOUT_CPU -c $< -o $@
$(B)/gpu/darkroom-gpu: $(GPU) $(B)/gpu/device.o $(WITH_kernels) $(call libs,engine)
	$(CC) $(FLAGS_$(VARIANT)) -static-libgcc $^ $(GPU_LIBRARIES) $(LDLIBS_cuda:-lstdc++=-l:libstdc++.a) -lm -lpthread -ldl -o $@
gpu-package:
	@$(MAKE) -s -j$(JOBS) CUDA=1 build/cuda/gpu/darkroom-gpu
	@tests/gpu/package build/cuda/gpu/darkroom-gpu gpu-package

clean:
	rm -rf build

-include $(shell find build -name '*.d' 2>/dev/null)
# Only what a chain of rules would delete. Everything here being secondary made make overlook an archive that another make
# had just rebuilt.
.SECONDARY: $(foreach r,$(ROOMS),$(GEN_$(r)))
.DELETE_ON_ERROR:
