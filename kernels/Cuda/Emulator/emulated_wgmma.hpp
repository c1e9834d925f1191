// wgmma.cuh for g++: a product runs at some moment between its issue and the wait for its group, and reads shared memory and A's
// registers then; until the wait its accumulators hold poison.
#pragma once

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
namespace emulator {

// A matrix of `rows` rows of 32 bytes behind a descriptor, as numbers.
template <class Format, class Sum> void read_matrix(uint64_t descriptor, bool transposed, int rows, Sum* to, int row_step, int k_step, AsyncView& view)
{
    constexpr int Bytes = 4 / Format::PerRegister, PerPiece = 16 / Bytes, K = 32 / Bytes;
    const uint32_t start = (descriptor & 0x3fff) << 4, leading = (descriptor >> 16 & 0x3fff) << 4, stride = (descriptor >> 32 & 0x3fff) << 4;
    const uint32_t mode = descriptor >> 62, width = mode == 0 ? 16 : 256 >> mode; // of a row of the atom, in bytes
    // A piece is 16 bytes along the contiguous dimension: K, or the rows of a transposed matrix.
    const int along = transposed ? rows : K, across = transposed ? K : rows;
    for (int i = 0; i < across; ++i)
        for (int j = 0; j < along; j += PerPiece) {
            const uint32_t byte = static_cast<uint32_t>(j * Bytes), group = static_cast<uint32_t>(i >> 3);
            uint32_t address = start + static_cast<uint32_t>(i & 7) * width + byte % width;
            if (mode == 0 && transposed)
                address += group * leading + byte / 16 * stride;
            else
                address += group * stride + byte / width * leading;
            if (mode != 0)
                address ^= (address >> 7 & ((1u << (4 - mode)) - 1)) << 4;
            const uint8_t* piece = view.read(address);
            for (int e = 0; e < PerPiece; ++e) {
                uint32_t bits = 0;
                std::memcpy(&bits, piece + e * Bytes, Bytes);
                const int row = transposed ? j + e : i, k = transposed ? i : j + e;
                to[row * row_step + k * k_step] = Format::decode(bits);
            }
        }
}

template <class Format, class Sum, int Registers> void multiply_group(const Product& product, uint32_t* accumulators, AsyncView& view)
{
    constexpr int P = Format::PerRegister, K = 8 * P, Bits = 32 / P, N = 2 * Registers;
    static thread_local Sum a[64][K], b[K][N], d[64][N];
    for (int t = 0; t < 128; ++t) {
        const int g = (t & 31) >> 2, c = t & 3, top = t / 32 * 16 + g;
        if (product.a[t] != nullptr)
            for (int r = 0; r < 4; ++r)
                for (int e = 0; e < P; ++e)
                    a[top + 8 * (r & 1)][P * c + e + 4 * P * (r >> 1)] = Format::decode(product.a[t][r] >> (Bits * e));
        for (int i = 0; i < Registers; ++i) {
            Sum value{};
            if (product.accumulate)
                std::memcpy(&value, accumulators + t * Registers + i, 4);
            d[top + 8 * (i >> 1 & 1)][8 * (i >> 2) + 2 * c + (i & 1)] = value;
        }
    }
    if (product.a[0] == nullptr)
        read_matrix<Format>(product.descriptor_a, false, 64, &a[0][0], K, 1, view);
    read_matrix<Format>(product.descriptor_b, product.transpose_b, N, &b[0][0], 1, N, view);
    for (int row = 0; row < 64; ++row)
        for (int k = 0; k < K; ++k)
            for (int column = 0; column < N; ++column)
                d[row][column] += a[row][k] * b[k][column];
    for (int t = 0; t < 128; ++t)
        for (int i = 0; i < Registers; ++i)
            std::memcpy(accumulators + t * Registers + i,
                        &d[t / 32 * 16 + ((t & 31) >> 2) + 8 * (i >> 1 & 1)][8 * (i >> 2) + 2 * (t & 3) + (i & 1)], 4);
}

template <class Format, class Sum, int R>
void multiply_async(Sum* d, const uint32_t* a, uint64_t descriptor_a, uint64_t b, bool transpose, bool accumulate, const Site& site)
{
    ProductPart part{d, a, descriptor_a, b, R, transpose, accumulate, multiply_group<Format, Sum, R>};
    current().executor->multiply_async(part, site);
}

} // namespace emulator

#define EMULATED_WGMMA(name, Format, Sum)                                                                                       \
    template <int TransposeB = 0, int R> void name(Sum (&d)[R], uint64_t a, uint64_t b, bool accumulate, EMULATOR_SITE)         \
    {                                                                                                                           \
        emulator::multiply_async<emulator::Format, Sum, R>(d, nullptr, a, b, TransposeB, accumulate, {#name, file, line});      \
    }                                                                                                                           \
    template <int TransposeB = 0, int R>                                                                                        \
    void name(Sum (&d)[R], const uint32_t (&a)[4], uint64_t b, bool accumulate, EMULATOR_SITE)                                  \
    {                                                                                                                           \
        emulator::multiply_async<emulator::Format, Sum, R>(d, a, 0, b, TransposeB, accumulate, {#name, file, line});            \
    }
EMULATED_WGMMA(wgmma_bf16, FormatBf16, float)
EMULATED_WGMMA(wgmma_f16, FormatF16, float)
EMULATED_WGMMA(wgmma_e4m3, FormatE4m3, float)
EMULATED_WGMMA(wgmma_s8, FormatS8, int)
#undef EMULATED_WGMMA

DEVICE void wgmma_fence(EMULATOR_SITE) { emulator::current().executor->multiply_fence({"wgmma_fence", file, line}); }
DEVICE void wgmma_commit() { emulator::current().executor->multiply_commit(); }
template <int Groups> void wgmma_wait(EMULATOR_SITE) { emulator::current().executor->multiply_wait(Groups, {"wgmma_wait", file, line}); }

template <int Registers> void check_register_count() { static_assert(Registers >= 24 && Registers <= 256 && Registers % 8 == 0); }
template <int Registers> void decrease_registers() { check_register_count<Registers>(); }
template <int Registers> void increase_registers() { check_register_count<Registers>(); }
#endif
