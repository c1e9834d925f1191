// Number formats and bit operations. Packed pairs hold the lower-indexed element in the lower half.
#pragma once
#ifdef LLAMASERVE_EMULATED
#include "emulated_convert.hpp"
#else

DEVICE uint32_t float_bits(float value) { return __float_as_uint(value); }
DEVICE float bits_float(uint32_t bits) { return __uint_as_float(bits); }

DEVICE float to_float(float value) { return value; }
DEVICE float to_float(bf16 value) { return __uint_as_float(static_cast<uint32_t>(value.bits) << 16); }
DEVICE float to_float(f16 value)
{
    float result;
    asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(value.bits));
    return result;
}

DEVICE bf16 to_bf16(float value)
{
    bf16 result;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(result.bits) : "f"(value));
    return result;
}
DEVICE f16 to_f16(float value)
{
    f16 result;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(result.bits) : "f"(value));
    return result;
}

// PTX names the upper half first.
DEVICE uint32_t pack_bf16(float low, float high)
{
    uint32_t result;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
    return result;
}
DEVICE uint32_t pack_f16(float low, float high)
{
    uint32_t result;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
    return result;
}
DEVICE float2 unpack_bf16(uint32_t pair) { return {bits_float(pair << 16), bits_float(pair & 0xffff0000u)}; }
DEVICE float2 unpack_f16(uint32_t pair)
{
    return {to_float(f16{static_cast<uint16_t>(pair)}), to_float(f16{static_cast<uint16_t>(pair >> 16)})};
}

#if __CUDA_ARCH__ >= 890
// Rounds to nearest even and saturates at +-448.
DEVICE uint16_t pack_e4m3(float low, float high)
{
    uint16_t result;
    asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(result) : "f"(high), "f"(low));
    return result;
}
// Two e4m3 to packed f16, exactly.
DEVICE uint32_t e4m3_to_f16(uint16_t pair)
{
    uint32_t result;
    asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(result) : "h"(pair));
    return result;
}
#endif

// a * b + c on both halves, each rounded once.
DEVICE uint32_t fma_bf16(uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t result;
    asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(result) : "r"(a), "r"(b), "r"(c));
    return result;
}
DEVICE uint32_t fma_f16(uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t result;
    asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(result) : "r"(a), "r"(b), "r"(c));
    return result;
}

// (a & b) | c in one instruction.
DEVICE uint32_t and_or(uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t result;
    asm("lop3.b32 %0, %1, %2, %3, 0xEA;" : "=r"(result) : "r"(a), "r"(b), "r"(c));
    return result;
}
// Byte i of the result is byte selector[4i+2..4i] of the eight bytes high:low.
DEVICE uint32_t permute_bytes(uint32_t low, uint32_t high, uint32_t selector) { return __byte_perm(low, high, selector); }
DEVICE int dot_s8(uint32_t a, uint32_t b, int sum) { return __dp4a(static_cast<int>(a), static_cast<int>(b), sum); }
// Rounds to nearest even and saturates to [-128, 127].
DEVICE int to_s8(float value)
{
    int result;
    asm("cvt.rni.sat.s8.f32 %0, %1;" : "=r"(result) : "f"(value));
    return result;
}

DEVICE float fmadd(float a, float b, float c) { return __fmaf_rn(a, b, c); }
// a * b, rounded, never fused with an addition.
DEVICE float product(float a, float b) { return __fmul_rn(a, b); }
DEVICE double logarithm(double value) { return log(value); }
DEVICE int bit_count(uint32_t bits) { return __popc(bits); }
DEVICE int lowest_bit(uint32_t bits) { return __ffs(static_cast<int>(bits)) - 1; }
DEVICE float maximum(float a, float b) { return fmaxf(a, b); }
DEVICE float absolute(float value) { return fabsf(value); }
DEVICE float square_root(float value) { return __fsqrt_rn(value); }
// Approximations of the special function unit: about 2 ulp.
DEVICE float exp2_approx(float value)
{
    float result;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(value));
    return result;
}
DEVICE float log2_approx(float value)
{
    float result;
    asm("lg2.approx.f32 %0, %1;" : "=f"(result) : "f"(value));
    return result;
}
DEVICE float reciprocal_approx(float value)
{
    float result;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(value));
    return result;
}
DEVICE float rsqrt_approx(float value)
{
    float result;
    asm("rsqrt.approx.f32 %0, %1;" : "=f"(result) : "f"(value));
    return result;
}
#endif

DEVICE void round_to(float& to, float value) { to = value; }
DEVICE void round_to(bf16& to, float value) { to = to_bf16(value); }
DEVICE void round_to(f16& to, float value) { to = to_f16(value); }
template <class T> DEVICE T from_float(float value)
{
    T result;
    round_to(result, value);
    return result;
}
