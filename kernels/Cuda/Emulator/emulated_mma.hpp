// mma.cuh for g++, after the formulas that mma.cuh states.
#pragma once

namespace emulator {

// Operands of a lane: registers, and for load_matrix and store_matrix the host's address of the lane's row.
struct MatrixRow {
    uint32_t* registers;
    uint8_t* row;
};

// Store: from registers to rows, otherwise from rows to registers.
template <int Matrices, bool Transposed, bool Store> void move_matrices(void* const* operands, uint32_t)
{
    for (int lane = 0; lane < 32; ++lane)
        for (int matrix = 0; matrix < Matrices; ++matrix)
            for (int e = 0; e < 2; ++e) {
                const int along = 2 * (lane & 3) + e, across = lane >> 2;
                const int row = Transposed ? along : across, column = Transposed ? across : along;
                uint8_t* element = static_cast<MatrixRow*>(operands[8 * matrix + row])->row + 2 * column;
                uint8_t* half = reinterpret_cast<uint8_t*>(static_cast<MatrixRow*>(operands[lane])->registers + matrix) + 2 * e;
                std::memcpy(Store ? element : half, Store ? half : element, 2);
            }
}

// Lanes whose addresses the instruction does not use need no valid one.
template <int Matrices, bool Transposed, bool Store>
void matrices(uint32_t* registers, uint32_t address, const char* operation, const char* file, int line)
{
    MatrixRow operand{registers, nullptr};
    const Site site{operation, file, line};
    if (lane_index() < 8 * Matrices)
        operand.row = shared_address(address, 16, 16, Store ? Access::Write : Access::Read, site);
    current().executor->warp_collective(FULL_MASK, site, move_matrices<Matrices, Transposed, Store>, &operand);
}

template <class A> struct Fragments {
    A* d;
    const uint32_t* a;
    const uint32_t* b;
};

struct FormatBf16 {
    static constexpr int PerRegister = 2;
    static float decode(uint32_t bits) { return to_float(bf16{static_cast<uint16_t>(bits)}); }
};
struct FormatF16 {
    static constexpr int PerRegister = 2;
    static float decode(uint32_t bits) { return to_float(f16{static_cast<uint16_t>(bits)}); }
};
struct FormatS8 {
    static constexpr int PerRegister = 4;
    static int decode(uint32_t bits) { return static_cast<int8_t>(bits); }
};
struct FormatE4m3 {
    static constexpr int PerRegister = 4;
    static float decode(uint32_t bits) { return to_float(e4m3{static_cast<uint8_t>(bits)}); }
};

template <class Format, class Sum> void multiply_fragments(void* const* operands, uint32_t)
{
    constexpr int P = Format::PerRegister, K = 8 * P, Bits = 32 / P;
    Sum a[16][K], b[K][8], d[16][8];
    for (int lane = 0; lane < 32; ++lane) {
        const Fragments<Sum>& f = *static_cast<Fragments<Sum>*>(operands[lane]);
        const int g = lane >> 2, c = lane & 3;
        for (int r = 0; r < 4; ++r)
            for (int e = 0; e < P; ++e)
                a[g + 8 * (r & 1)][P * c + e + 4 * P * (r >> 1)] = Format::decode(f.a[r] >> (Bits * e));
        for (int r = 0; r < 2; ++r)
            for (int e = 0; e < P; ++e)
                b[P * c + e + 4 * P * r][g] = Format::decode(f.b[r] >> (Bits * e));
        for (int i = 0; i < 4; ++i)
            d[g + 8 * (i >> 1)][2 * c + (i & 1)] = f.d[i];
    }
    for (int row = 0; row < 16; ++row)
        for (int k = 0; k < K; ++k)
            for (int column = 0; column < 8; ++column)
                d[row][column] += a[row][k] * b[k][column];
    for (int lane = 0; lane < 32; ++lane)
        for (int i = 0; i < 4; ++i)
            static_cast<Fragments<Sum>*>(operands[lane])->d[i] = d[(lane >> 2) + 8 * (i >> 1)][2 * (lane & 3) + (i & 1)];
}

template <class Format, class Sum>
void mma(Sum* d, const uint32_t* a, const uint32_t* b, const char* operation, const char* file, int line)
{
    Fragments<Sum> operand{d, a, b};
    current().executor->warp_collective(FULL_MASK, {operation, file, line}, multiply_fragments<Format, Sum>, &operand);
}

} // namespace emulator

DEVICE void load_matrix_x4(uint32_t* r, uint32_t address, EMULATOR_SITE)
{
    emulator::matrices<4, false, false>(r, address, "load_matrix_x4", file, line);
}
DEVICE void load_matrix_x2(uint32_t* r, uint32_t address, EMULATOR_SITE)
{
    emulator::matrices<2, false, false>(r, address, "load_matrix_x2", file, line);
}
DEVICE void load_matrix_x1(uint32_t* r, uint32_t address, EMULATOR_SITE)
{
    emulator::matrices<1, false, false>(r, address, "load_matrix_x1", file, line);
}
DEVICE void load_matrix_x4_transposed(uint32_t* r, uint32_t address, EMULATOR_SITE)
{
    emulator::matrices<4, true, false>(r, address, "load_matrix_x4_transposed", file, line);
}
DEVICE void load_matrix_x2_transposed(uint32_t* r, uint32_t address, EMULATOR_SITE)
{
    emulator::matrices<2, true, false>(r, address, "load_matrix_x2_transposed", file, line);
}
#if __CUDA_ARCH__ >= 900
DEVICE void store_matrix_x4(uint32_t address, const uint32_t* r, EMULATOR_SITE)
{
    emulator::matrices<4, false, true>(const_cast<uint32_t*>(r), address, "store_matrix_x4", file, line);
}
DEVICE void store_matrix_x4_transposed(uint32_t address, const uint32_t* r, EMULATOR_SITE)
{
    emulator::matrices<4, true, true>(const_cast<uint32_t*>(r), address, "store_matrix_x4_transposed", file, line);
}
#endif

DEVICE void mma_bf16(float* d, const uint32_t* a, const uint32_t* b, EMULATOR_SITE)
{
    emulator::mma<emulator::FormatBf16>(d, a, b, "mma_bf16", file, line);
}
DEVICE void mma_f16(float* d, const uint32_t* a, const uint32_t* b, EMULATOR_SITE)
{
    emulator::mma<emulator::FormatF16>(d, a, b, "mma_f16", file, line);
}
DEVICE void mma_s8(int* d, const uint32_t* a, const uint32_t* b, EMULATOR_SITE)
{
    emulator::mma<emulator::FormatS8>(d, a, b, "mma_s8", file, line);
}
#if __CUDA_ARCH__ >= 890
DEVICE void mma_e4m3(float* d, const uint32_t* a, const uint32_t* b, EMULATOR_SITE)
{
    emulator::mma<emulator::FormatE4m3>(d, a, b, "mma_e4m3", file, line);
}
#endif
