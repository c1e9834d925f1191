// convert.cuh for g++.
#pragma once
#include <cmath>

DEVICE uint32_t float_bits(float value)
{
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    return bits;
}
DEVICE float bits_float(uint32_t bits)
{
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
}

DEVICE float to_float(float value) { return value; }
DEVICE float to_float(bf16 value) { return bits_float(static_cast<uint32_t>(value.bits) << 16); }
DEVICE float to_float(f16 value)
{
    _Float16 half;
    std::memcpy(&half, &value, 2);
    return static_cast<float>(half);
}
DEVICE float to_float(e4m3 value)
{
    const int exponent = value.bits >> 3 & 15, mantissa = value.bits & 7;
    if (exponent == 15 && mantissa == 7)
        return bits_float(0x7fffffffu);
    const float magnitude = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9)
                                          : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
    return value.bits & 0x80 ? -magnitude : magnitude;
}

// To nearest even; NaN becomes the canonical 0x7fff.
DEVICE bf16 to_bf16(float value)
{
    if (std::isnan(value))
        return {0x7fff};
    const uint32_t bits = float_bits(value);
    return {static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1)) >> 16)};
}
DEVICE f16 to_f16(float value)
{
    const _Float16 half = static_cast<_Float16>(value);
    f16 result;
    std::memcpy(&result, &half, 2);
    return result;
}
DEVICE e4m3 to_e4m3(float value)
{
    const uint8_t sign = std::signbit(value) ? 0x80 : 0;
    const float magnitude = std::fabs(value);
    if (std::isnan(value))
        return {0x7f};
    if (magnitude >= 448.0f)
        return {static_cast<uint8_t>(sign | 0x7e)};
    const int exponent = magnitude < 0x1p-6f ? -6 : std::ilogb(magnitude);
    const int steps = static_cast<int>(std::nearbyint(std::ldexp(magnitude, 3 - exponent))); // of 2^(exponent - 3)
    return {static_cast<uint8_t>(sign | ((exponent + 6) * 8 + steps))};
}

DEVICE uint32_t pack_bits(uint32_t low, uint32_t high) { return low | high << 16; }
DEVICE uint32_t pack_bf16(float low, float high) { return pack_bits(to_bf16(low).bits, to_bf16(high).bits); }
DEVICE uint32_t pack_f16(float low, float high) { return pack_bits(to_f16(low).bits, to_f16(high).bits); }
DEVICE float2 unpack_bf16(uint32_t pair) { return {bits_float(pair << 16), bits_float(pair & 0xffff0000u)}; }
DEVICE float2 unpack_f16(uint32_t pair)
{
    return {to_float(f16{static_cast<uint16_t>(pair)}), to_float(f16{static_cast<uint16_t>(pair >> 16)})};
}

#if __CUDA_ARCH__ >= 890
DEVICE uint16_t pack_e4m3(float low, float high)
{
    return static_cast<uint16_t>(to_e4m3(low).bits | to_e4m3(high).bits << 8);
}
DEVICE uint32_t e4m3_to_f16(uint16_t pair)
{
    return pack_f16(to_float(e4m3{static_cast<uint8_t>(pair)}), to_float(e4m3{static_cast<uint8_t>(pair >> 8)}));
}
#endif

// Rounds to float and then to 16 bits: differs from one rounding only where the float lies exactly between two 16-bit values.
DEVICE uint32_t fma_bf16(uint32_t a, uint32_t b, uint32_t c)
{
    const float2 x = unpack_bf16(a), y = unpack_bf16(b), z = unpack_bf16(c);
    return pack_bf16(std::fma(x.x, y.x, z.x), std::fma(x.y, y.y, z.y));
}
DEVICE uint32_t fma_f16(uint32_t a, uint32_t b, uint32_t c)
{
    const float2 x = unpack_f16(a), y = unpack_f16(b), z = unpack_f16(c);
    return pack_f16(std::fma(x.x, y.x, z.x), std::fma(x.y, y.y, z.y));
}

DEVICE uint32_t and_or(uint32_t a, uint32_t b, uint32_t c) { return (a & b) | c; }
DEVICE uint32_t permute_bytes(uint32_t low, uint32_t high, uint32_t selector)
{
    const uint64_t bytes = static_cast<uint64_t>(high) << 32 | low;
    uint32_t result = 0;
    for (int i = 0; i < 4; ++i) {
        const uint32_t pick = selector >> (4 * i) & 15;
        const uint8_t byte = static_cast<uint8_t>(bytes >> (8 * (pick & 7)));
        result |= static_cast<uint32_t>(pick & 8 ? (byte & 0x80 ? 0xff : 0) : byte) << (8 * i);
    }
    return result;
}
DEVICE int dot_s8(uint32_t a, uint32_t b, int sum)
{
    for (int i = 0; i < 4; ++i)
        sum += static_cast<int8_t>(a >> (8 * i)) * static_cast<int8_t>(b >> (8 * i));
    return sum;
}
DEVICE int to_s8(float value)
{
    if (std::isnan(value))
        return 0;
    return static_cast<int>(std::nearbyint(std::fmin(std::fmax(value, -128.0f), 127.0f)));
}

DEVICE float fmadd(float a, float b, float c) { return std::fma(a, b, c); }
DEVICE float product(float a, float b) { return a * b; }
DEVICE double logarithm(double value) { return std::log(value); }
DEVICE int bit_count(uint32_t bits) { return __builtin_popcount(bits); }
DEVICE int lowest_bit(uint32_t bits) { return __builtin_ctz(bits); }
DEVICE float maximum(float a, float b) { return std::fmax(a, b); }
DEVICE float absolute(float value) { return std::fabs(value); }
DEVICE float square_root(float value) { return std::sqrt(value); }
DEVICE float exp2_approx(float value) { return std::exp2(value); }
DEVICE float log2_approx(float value) { return std::log2(value); }
DEVICE float reciprocal_approx(float value) { return 1.0f / value; }
DEVICE float rsqrt_approx(float value) { return 1.0f / std::sqrt(value); }
