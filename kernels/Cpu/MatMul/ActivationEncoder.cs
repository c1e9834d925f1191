using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace LlamaServe.Kernels.Cpu;

/// <summary>
/// Turns the F32 rows of a tile into what its weights want, interleaved so that a kernel walks one pointer: block after block
/// of columns, in a block [row][q], then [row] scale, then [row] correction(s). Columns past the end are zeros.
/// </summary>
internal static unsafe class ActivationEncoder
{
    /// <summary>1.5 · 2²³: added to a float of magnitude below 2²², it leaves the nearest-even integer in the low bits.</summary>
    private const float RoundingBias = 12582912f;

    /// <summary>Below it 127 / amax would leave the range of F32; such a block counts as zero.</summary>
    private const float SmallestMagnitude = 1e-30f;

    /// <param name="input">First row; rows <paramref name="inputStride"/> elements apart.</param>
    /// <param name="rows">Rows of the tile.</param>
    /// <param name="columns">Elements of a row.</param>
    /// <param name="layout">The weights' layout.</param>
    /// <param name="output">rows · Steps(columns) · ActivationStepBytes bytes.</param>
    /// <param name="order">[rows] which rows of the input are the tile's; null for the first ones.</param>
    public static void EncodeTile(float* input, nint inputStride, int rows, int columns, PanelLayout layout, byte* output, int* order = null)
    {
        int block = layout.Encoding == ActivationEncoding.Float32 ? layout.StepColumns : PanelLayout.BlockColumns;
        int blockBytes = layout.ActivationStepBytes * block / layout.StepColumns * rows;
        int paddedColumns = layout.Steps(columns) * layout.StepColumns;
        float* padded = stackalloc float[PanelLayout.BlockColumns];
        for (int row = 0; row < rows; row++)
        {
            float* source = input + (order == null ? row : order[row]) * inputStride;
            byte* target = output;
            for (int column = 0; column < paddedColumns; column += block, target += blockBytes)
            {
                float* elements = source + column;
                if (column + block > columns)
                {
                    int present = Math.Max(0, columns - column);
                    new Span<float>(padded, block).Clear();
                    new Span<float>(elements, present).CopyTo(new Span<float>(padded, block));
                    elements = padded;
                }

                EncodeBlock(elements, row, rows, layout, target);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void EncodeBlock(float* elements, int row, int rows, PanelLayout layout, byte* block)
    {
        switch (layout.Encoding)
        {
            case ActivationEncoding.Float32:
                Vector512.Store(Vector512.Load(elements), (float*)block + row * 16);
                break;
            case ActivationEncoding.BFloat16:
                Vector512<ushort> halves = Vector512.Narrow(
                    RoundToBFloat16(Vector512.Load(elements)), RoundToBFloat16(Vector512.Load(elements + 16)));
                Vector512.Store(halves, (ushort*)block + row * 32);
                break;
            default:
                EncodeInt8(elements, row, rows, layout, block);
                break;
        }
    }

    /// <summary>The upper halves after rounding to nearest even; a NaN keeps a mantissa bit.</summary>
    private static Vector512<uint> RoundToBFloat16(Vector512<float> values)
    {
        Vector512<uint> bits = values.AsUInt32();
        Vector512<uint> odd = (bits >>> 16) & Vector512.Create(1u);
        Vector512<uint> rounded = (bits + Vector512.Create(0x7FFFu) + odd) >>> 16;
        Vector512<uint> quiet = (bits >>> 16) | Vector512.Create(0x40u);
        return Vector512.ConditionalSelect(Vector512.Equals(values, values).AsUInt32(), rounded, quiet);
    }

    /// <summary>q = round(x · 127 / amax), x ≈ q · amax / 127; a NaN or an infinity makes the block's scale non-finite.</summary>
    private static void EncodeInt8(float* elements, int row, int rows, PanelLayout layout, byte* block)
    {
        Vector512<float> low = Vector512.Load(elements), high = Vector512.Load(elements + 16);
        float magnitude = Magnitude(low, high);
        float inverse = magnitude < SmallestMagnitude ? 0 : 127 / magnitude;
        float scale = magnitude < SmallestMagnitude ? 0 : magnitude * (1f / 127);
        Vector512<int> lowIntegers = RoundToIntegers(low * inverse), highIntegers = RoundToIntegers(high * inverse);
        Vector512<short> shorts = Vector512.Narrow(lowIntegers, highIntegers);
        Vector256.Store(Vector256.Narrow(shorts.GetLower(), shorts.GetUpper()), (sbyte*)block + row * PanelLayout.BlockColumns);

        float* scales = (float*)(block + rows * PanelLayout.BlockColumns);
        int* corrections = (int*)(scales + rows);
        scales[row] = scale;
        switch (layout.Encoding)
        {
            case ActivationEncoding.Int8:
                corrections[row] = -layout.Offset * Vector512.Sum(lowIntegers + highIntegers);
                break;
            case ActivationEncoding.Int8WithSums:
                ((float*)corrections)[row] = scale * Vector512.Sum(lowIntegers + highIntegers);
                break;
            default:
                corrections[row] = -layout.Offset * Vector512.Sum(lowIntegers);
                corrections[rows + row] = -layout.Offset * Vector512.Sum(highIntegers);
                break;
        }
    }

    private static Vector512<int> RoundToIntegers(Vector512<float> values) =>
        (values + Vector512.Create(RoundingBias)).AsInt32() - Vector512.Create(RoundingBias).AsInt32();

    /// <summary>max |x|; NaN if any element is, which the native maximum does not promise.</summary>
    private static float Magnitude(Vector512<float> low, Vector512<float> high)
    {
        if (!Vector512.EqualsAll(low, low) || !Vector512.EqualsAll(high, high))
        {
            return float.NaN;
        }

        Vector512<float> sixteen = Vector512.MaxNative(Vector512.Abs(low), Vector512.Abs(high));
        Vector256<float> eight = Vector256.MaxNative(sixteen.GetLower(), sixteen.GetUpper());
        Vector128<float> four = Vector128.MaxNative(eight.GetLower(), eight.GetUpper());
        Vector128<float> two = Vector128.MaxNative(four, Vector128.Shuffle(four, Vector128.Create(2, 3, 0, 1)));
        return Vector128.MaxNative(two, Vector128.Shuffle(two, Vector128.Create(1, 0, 3, 2))).ToScalar();
    }
}
