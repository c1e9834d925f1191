// Eight neighbouring elements of a row as F32, whatever the row's type.
//
// `aligned`: the row starts on 16 bytes and `column` is a multiple of eight, with all eight inside; then a vector moves in
// 16-byte accesses. Otherwise element by element, and elements at `width` and beyond are zero and not stored.
#pragma once
#include "device.cuh"

static constexpr int Lanes = 8;

// The same bytes as elements and as what moves at a time; a union, since compilers assume that pointers of two types do not meet.
template <class T> union Vector {
    T element[Lanes];
    uint4 part[Lanes * sizeof(T) / 16];
};

template <class T> DEVICE void load_vector(float* to, global_ptr<const T> row, int column, int width, bool aligned)
{
    if (aligned) {
        Vector<T> vector;
        UNROLL for (int i = 0; i < static_cast<int>(sizeof(vector) / 16); ++i)
            vector.part[i] = load(cast<const uint4>(row + column) + i);
        UNROLL for (int i = 0; i < Lanes; ++i)
            to[i] = to_float(vector.element[i]);
    } else {
        UNROLL for (int i = 0; i < Lanes; ++i)
            to[i] = column + i < width ? to_float(load(row + column + i)) : 0.0f;
    }
}

template <class T> DEVICE void store_vector(global_ptr<T> row, const float* from, int column, int width, bool aligned)
{
    if (aligned) {
        Vector<T> vector;
        UNROLL for (int i = 0; i < Lanes; ++i)
            vector.element[i] = from_float<T>(from[i]);
        UNROLL for (int i = 0; i < static_cast<int>(sizeof(vector) / 16); ++i)
            store(cast<uint4>(row + column) + i, vector.part[i]);
    } else {
        UNROLL for (int i = 0; i < Lanes; ++i)
            if (column + i < width)
                store(row + column + i, from_float<T>(from[i]));
    }
}

// gate / (1 + e^-gate); the exponential may overflow to infinity, whose reciprocal is the zero that is wanted.
DEVICE float silu(float gate) { return gate * reciprocal_approx(1.0f + exp2_approx(gate * -1.4426950408889634f)); }
