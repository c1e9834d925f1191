// The warpgroup's asynchronous matrix product D (64 x N) += A (64 x 32 bytes) * B (32 bytes x N), for sm_90a.
//
// N follows from the accumulator: N / 2 registers, of which i is row 16 warp + lane/4 + 8 (i >> 1 & 1), column 8 (i >> 2) +
// 2 (lane % 4) + (i & 1), `warp` counting within the warpgroup. A comes from four registers (the fragments of mma.cuh, for rows
// 16 warp ...) or shared memory, B from shared memory, both by descriptor.
//
//   wgmma_fence();                 after other instructions wrote the accumulators or A's registers
//   wgmma_bf16(d, a, b, true);     any number; all threads of the warpgroup with the same descriptors; false: D = A * B
//   wgmma_commit();
//   wgmma_wait<N>();               at most N groups under way: until then neither D nor A's registers may be touched
//
// PTX ISA, "Asynchronous Warpgroup Level Matrix Instructions".
#pragma once

// How a matrix lies in shared memory: rows of 32, 64 or 128 bytes whose 16-byte pieces are permuted, or none of that.
enum class Swizzle : uint32_t { None = 0, Bytes128 = 1, Bytes64 = 2, Bytes32 = 3 };

// With K along the rows and a swizzle: stride is the distance of groups of eight rows (eight times the row), leading is unused; the
// next 32 bytes of K are 32 bytes further on. Addresses are multiples of 16, swizzled atoms of eight rows.
DEVICE uint64_t matrix_descriptor(uint32_t address, Swizzle swizzle, uint32_t stride, uint32_t leading = 16)
{
    return static_cast<uint64_t>((address & 0x3ffffu) >> 4) | static_cast<uint64_t>((leading & 0x3ffffu) >> 4) << 16
         | static_cast<uint64_t>((stride & 0x3ffffu) >> 4) << 32 | static_cast<uint64_t>(swizzle) << 62;
}
// Where the byte of a 128-byte-row matrix at this address is kept.
DEVICE uint32_t swizzle_128(uint32_t address) { return address ^ ((address >> 7 & 7) << 4); }

#ifdef LLAMASERVE_EMULATED
#include "emulated_wgmma.hpp"
#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)

DEVICE void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
DEVICE void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int Groups> DEVICE void wgmma_wait() { asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(Groups) : "memory"); }

// Takes registers from the warpgroup, or gives it more: by all its warps, in a kernel compiled for one CTA an SM.
template <int Registers> DEVICE void decrease_registers() { asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(Registers)); }
template <int Registers> DEVICE void increase_registers() { asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(Registers)); }

// Operands of the accumulators, eight at a time.
#define LS_8(c, i) "+" c(d[i]), "+" c(d[i + 1]), "+" c(d[i + 2]), "+" c(d[i + 3]), "+" c(d[i + 4]), "+" c(d[i + 5]), "+" c(d[i + 6]), "+" c(d[i + 7])
#define LS_OUT_4(c) "+" c(d[0]), "+" c(d[1]), "+" c(d[2]), "+" c(d[3])
#define LS_OUT_8(c) LS_8(c, 0)
#define LS_OUT_16(c) LS_OUT_8(c), LS_8(c, 8)
#define LS_OUT_32(c) LS_OUT_16(c), LS_8(c, 16), LS_8(c, 24)
#define LS_OUT_64(c) LS_OUT_32(c), LS_8(c, 32), LS_8(c, 40), LS_8(c, 48), LS_8(c, 56)
#define LS_OUT_96(c) LS_OUT_64(c), LS_8(c, 64), LS_8(c, 72), LS_8(c, 80), LS_8(c, 88)
#define LS_OUT_128(c) LS_OUT_96(c), LS_8(c, 96), LS_8(c, 104), LS_8(c, 112), LS_8(c, 120)
#define LS_LIST_4 "%0, %1, %2, %3"
#define LS_LIST_8 LS_LIST_4 ", %4, %5, %6, %7"
#define LS_LIST_16 LS_LIST_8 ", %8, %9, %10, %11, %12, %13, %14, %15"
#define LS_LIST_32 LS_LIST_16 ", " \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define LS_LIST_64 LS_LIST_32 ", " \
    "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
    "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define LS_LIST_96 LS_LIST_64 ", " \
    "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, " \
    "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95"
#define LS_LIST_128 LS_LIST_96 ", " \
    "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, " \
    "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"

// One instruction: R accumulators, their type and constraint, the operands after them numbered r0..r5; tail: the immediates.
#define LS_WGMMA(name, R, T, c, instruction, tail_shared, tail_registers, template_head, extra, r0, r1, r2, r3, r4, r5, r6)                        \
    template_head DEVICE void name(T (&d)[R], uint64_t a, uint64_t b, bool accumulate)                                                            \
    {                                                                                                                                             \
        asm volatile("{ .reg .pred p; setp.ne.b32 p, %" #r2 ", 0; wgmma.mma_async.sync.aligned." instruction " {" LS_LIST_##R "}, %" #r0 ", %" #r1  \
                     ", p" tail_shared(r3) "; }" : LS_OUT_##R(c) : "l"(a), "l"(b), "r"(static_cast<int>(accumulate)) extra);                       \
    }                                                                                                                                             \
    template_head DEVICE void name(T (&d)[R], const uint32_t (&a)[4], uint64_t b, bool accumulate)                                                \
    {                                                                                                                                             \
        asm volatile("{ .reg .pred p; setp.ne.b32 p, %" #r5 ", 0; wgmma.mma_async.sync.aligned." instruction " {" LS_LIST_##R "}, {%" #r0 ", %" #r1 \
                     ", %" #r2 ", %" #r3 "}, %" #r4 ", p" tail_registers(r6) "; }" : LS_OUT_##R(c)                                                 \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<int>(accumulate)) extra);                               \
    }
#define LS_SCALES_AND_TRANSPOSE_A_B(r) ", 1, 1, 0, %" #r
#define LS_SCALES_AND_TRANSPOSE_B(r) ", 1, 1, %" #r
#define LS_SCALES(r) ", 1, 1"
#define LS_NOTHING(r) ""
#define LS_COMMA_N , "n"(TransposeB)
// TransposeB: B's rows are K, for 16-bit types (leading: the distance of the swizzle's width along N; stride: of eight K).
#define LS_WGMMA_N(N, R, r0, r1, r2, r3, r4, r5, r6)                                                                                              \
    LS_WGMMA(wgmma_bf16, R, float, "f", "m64n" #N "k16.f32.bf16.bf16", LS_SCALES_AND_TRANSPOSE_A_B, LS_SCALES_AND_TRANSPOSE_B,                    \
             template <int TransposeB = 0>, LS_COMMA_N, r0, r1, r2, r3, r4, r5, r6)                                                               \
    LS_WGMMA(wgmma_f16, R, float, "f", "m64n" #N "k16.f32.f16.f16", LS_SCALES_AND_TRANSPOSE_A_B, LS_SCALES_AND_TRANSPOSE_B,                       \
             template <int TransposeB = 0>, LS_COMMA_N, r0, r1, r2, r3, r4, r5, r6)                                                               \
    LS_WGMMA(wgmma_e4m3, R, float, "f", "m64n" #N "k32.f32.e4m3.e4m3", LS_SCALES, LS_SCALES, , , r0, r1, r2, r3, r4, r5, r6)                      \
    LS_WGMMA(wgmma_s8, R, int, "r", "m64n" #N "k32.s32.s8.s8", LS_NOTHING, LS_NOTHING, , , r0, r1, r2, r3, r4, r5, r6)
LS_WGMMA_N(8, 4, 4, 5, 6, 7, 8, 9, 10)
LS_WGMMA_N(16, 8, 8, 9, 10, 11, 12, 13, 14)
LS_WGMMA_N(32, 16, 16, 17, 18, 19, 20, 21, 22)
LS_WGMMA_N(64, 32, 32, 33, 34, 35, 36, 37, 38)
LS_WGMMA_N(128, 64, 64, 65, 66, 67, 68, 69, 70)
LS_WGMMA_N(192, 96, 96, 97, 98, 99, 100, 101, 102)
LS_WGMMA_N(256, 128, 128, 129, 130, 131, 132, 133, 134)
#undef LS_WGMMA_N
#undef LS_WGMMA
#endif
