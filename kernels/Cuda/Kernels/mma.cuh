// Matrix fragments from and to shared memory, and the warp's matrix products D += A * B.
//
// With g = lane / 4, c = lane % 4, P elements in a register (2 of 16 bits, 4 of 8), register r, element e:
//   A (16 x 8P): row g + 8 (r & 1), column P c + e + 4 P (r >> 1)      B (8P x 8): row P c + e + 4 P r, column g
//   D (16 x 8):  row g + 8 (i >> 1), column 2 c + (i & 1)
// PTX ISA, "Matrix Fragments for mma.m16n8k16" and ".m16n8k32".
#pragma once
#ifdef LLAMASERVE_EMULATED
#include "emulated_mma.hpp"
#else

// Lane 8j + i names the address of row i (16 bytes) of matrix j. Register j: row lane/4, 16-bit columns 2(lane%4) and the next.
DEVICE void load_matrix_x4(uint32_t* r, uint32_t address)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(address) : "memory");
}
DEVICE void load_matrix_x2(uint32_t* r, uint32_t address)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];" : "=r"(r[0]), "=r"(r[1]) : "r"(address) : "memory");
}
DEVICE void load_matrix_x1(uint32_t* r, uint32_t address)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];" : "=r"(r[0]) : "r"(address) : "memory");
}
// Transposed: rows 2(lane%4) and the next, column lane/4.
DEVICE void load_matrix_x4_transposed(uint32_t* r, uint32_t address)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(address) : "memory");
}
DEVICE void load_matrix_x2_transposed(uint32_t* r, uint32_t address)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1]) : "r"(address) : "memory");
}
#if __CUDA_ARCH__ >= 900
DEVICE void store_matrix_x4(uint32_t address, const uint32_t* r)
{
    asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};"
                 ::"r"(address), "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3]) : "memory");
}
DEVICE void store_matrix_x4_transposed(uint32_t address, const uint32_t* r)
{
    asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};"
                 ::"r"(address), "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3]) : "memory");
}
#endif

#define LLAMASERVE_MMA(name, accumulator, constraint, instruction)                                                            \
    DEVICE void name(accumulator* d, const uint32_t* a, const uint32_t* b)                                                    \
    {                                                                                                                         \
        asm volatile(instruction " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"                           \
                     : "+" constraint(d[0]), "+" constraint(d[1]), "+" constraint(d[2]), "+" constraint(d[3])                 \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));                                     \
    }
LLAMASERVE_MMA(mma_bf16, float, "f", "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32")
LLAMASERVE_MMA(mma_f16, float, "f", "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32")
LLAMASERVE_MMA(mma_s8, int, "r", "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32")
#if __CUDA_ARCH__ >= 890
LLAMASERVE_MMA(mma_e4m3, float, "f", "mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32")
#endif
#undef LLAMASERVE_MMA
#endif
