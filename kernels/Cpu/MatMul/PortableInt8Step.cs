using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace LlamaServe.Kernels.Cpu;

/// <summary>One step of a quantized panel against INT8 activations, block after block; see <see cref="PortableTileKernel"/>.</summary>
internal static unsafe class PortableInt8Step
{
    private const int PanelRows = PanelLayout.PanelRows;
    private const int BlockColumns = PanelLayout.BlockColumns;
    private const int QuadBytes = 4 * PanelRows;

    /// <summary>Adds the step to the tile's float sums [rows][16].</summary>
    [SkipLocalsInit]
    public static void Add(WeightFormat format, PanelLayout layout, byte* weights, byte* activations, int rows, float* sums)
    {
        byte* unpacked = stackalloc byte[8 * QuadBytes];
        float* scales = stackalloc float[2 * PanelRows];
        float* mins = stackalloc float[PanelRows];
        int blocks = layout.StepColumns / BlockColumns;
        int blockBytes = layout.ActivationStepBytes / blocks * rows;
        for (int block = 0; block < blocks; block++, activations += blockBytes)
        {
            byte* quants = format == WeightFormat.Q8_0 ? weights + block * 8 * QuadBytes : unpacked;
            if (format != WeightFormat.Q8_0)
            {
                Unpack(format, weights, block, unpacked);
            }

            LoadScales(format, weights, block, scales, mins);
            for (int row = 0; row < rows; row++)
            {
                AddBlock(format, quants, scales, mins, activations, rows, row, sums + row * PanelRows);
            }
        }
    }

    private static void AddBlock(
        WeightFormat format, byte* quants, float* scales, float* mins, byte* activations, int rows, int row, float* sums)
    {
        sbyte* inputs = (sbyte*)activations + row * BlockColumns;
        float* inputScales = (float*)(activations + rows * BlockColumns);
        int* corrections = (int*)(inputScales + rows);
        switch (format)
        {
            case WeightFormat.Q6_K:
                AddGroup(quants, 4, 2, inputs, corrections[row], scales, inputScales[row], sums);
                AddGroup(quants + 4 * QuadBytes, 4, 2, inputs + 16, corrections[rows + row], scales + PanelRows, inputScales[row], sums);
                break;
            case WeightFormat.Q4_K:
                AddGroup(quants, 8, 8, inputs, 0, scales, inputScales[row], sums);
                Vector256<float> inputSum = Vector256.Create(-((float*)corrections)[row]);
                MultiplyAdd(Vector256.Load(mins), inputSum, sums);
                MultiplyAdd(Vector256.Load(mins + 8), inputSum, sums + 8);
                break;
            default:
                AddGroup(quants, 8, format == WeightFormat.Q8_0 ? 0 : 8, inputs, corrections[row], scales, inputScales[row], sums);
                break;
        }
    }

    /// <summary>sums += (start + Σ quants·inputs) · (scales · inputScale) over quads of columns that share a scale.</summary>
    /// <param name="narrowQuads">Quads whose products add up within 16 bits: 8 for four-bit quants, 2 for six bits, 0 for eight.</param>
    private static void AddGroup(
        byte* quants, int quads, int narrowQuads, sbyte* inputs, int start, float* scales, float inputScale, float* sums)
    {
        Vector256<int> low = Vector256.Create(start), high = low;
        if (Avx2.IsSupported && narrowQuads > 0)
        {
            for (int quad = 0; quad < quads; quad += narrowQuads)
            {
                DotNarrowAvx2(quants + quad * QuadBytes, narrowQuads, inputs + 4 * quad, ref low, ref high);
            }
        }
        else if (Avx2.IsSupported)
        {
            (low, high) = DotWideAvx2(quants, quads, inputs);
        }
        else
        {
            low += Dot(quants, quads, inputs);
            high += Dot(quants + QuadBytes / 2, quads, inputs);
        }

        Vector256<float> scale = Vector256.Create(inputScale);
        MultiplyAdd(Vector256.ConvertToSingle(low), Vector256.Load(scales) * scale, sums);
        MultiplyAdd(Vector256.ConvertToSingle(high), Vector256.Load(scales + 8) * scale, sums + 8);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void MultiplyAdd(Vector256<float> x, Vector256<float> y, float* sum) =>
        Vector256.Store(Vector256.FusedMultiplyAdd(x, y, Vector256.Load(sum)), sum);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void DotNarrowAvx2(byte* quants, int quads, sbyte* inputs, ref Vector256<int> low, ref Vector256<int> high)
    {
        Vector256<short> lowPairs = default, highPairs = default;
        for (int quad = 0; quad < quads; quad++, quants += QuadBytes)
        {
            Vector256<sbyte> input = Vector256.Create(((int*)inputs)[quad]).AsSByte();
            lowPairs += Avx2.MultiplyAddAdjacent(Vector256.Load(quants), input);
            highPairs += Avx2.MultiplyAddAdjacent(Vector256.Load(quants + QuadBytes / 2), input);
        }

        low += Avx2.MultiplyAddAdjacent(lowPairs, Vector256.Create((short)1));
        high += Avx2.MultiplyAddAdjacent(highPairs, Vector256.Create((short)1));
    }

    /// <summary>
    /// Σ (quants − 128)·inputs, for which the start has no part to play. VPMADDUBSW wants an unsigned factor, so the quants'
    /// signs move to the inputs: 128 · 127 · 2 still fits 16 bits.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (Vector256<int> Low, Vector256<int> High) DotWideAvx2(byte* quants, int quads, sbyte* inputs)
    {
        Vector256<int> low = default, high = default;
        Vector256<byte> signBit = Vector256.Create((byte)0x80);
        Vector256<short> ones = Vector256.Create((short)1);
        for (int quad = 0; quad < quads; quad++, quants += QuadBytes)
        {
            Vector256<sbyte> input = Vector256.Create(((int*)inputs)[quad]).AsSByte();
            Vector256<sbyte> lowQuants = (Vector256.Load(quants) ^ signBit).AsSByte();
            Vector256<sbyte> highQuants = (Vector256.Load(quants + QuadBytes / 2) ^ signBit).AsSByte();
            Vector256<short> lowPairs = Avx2.MultiplyAddAdjacent(Avx2.Abs(lowQuants), Avx2.Sign(input, lowQuants));
            Vector256<short> highPairs = Avx2.MultiplyAddAdjacent(Avx2.Abs(highQuants), Avx2.Sign(input, highQuants));
            low += Avx2.MultiplyAddAdjacent(lowPairs, ones);
            high += Avx2.MultiplyAddAdjacent(highPairs, ones);
        }

        return (low, high);
    }

    /// <summary>Σ over quads for eight rows: a product of eight unsigned and eight signed bits fits 16 signed bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Dot(byte* quants, int quads, sbyte* inputs)
    {
        // Lanes 2i, 2i + 1 hold row i's first and second pair of columns.
        Vector256<int> rows0123 = default, rows4567 = default;
        for (int quad = 0; quad < quads; quad++, quants += QuadBytes)
        {
            Vector64<short> input = Vector128.WidenLower(Vector128.CreateScalar(((int*)inputs)[quad]).AsSByte()).GetLower();
            Vector256<short> inputs4 = Vector256.Create(input.AsInt64().ToScalar()).AsInt16();
            Vector256<byte> bytes = Vector256.Load(quants);
            rows0123 += SumPairs(Vector256.WidenLower(bytes).AsInt16(), inputs4);
            rows4567 += SumPairs(Vector256.WidenUpper(bytes).AsInt16(), inputs4);
        }

        return Vector256.Narrow(SumNeighbours(rows0123), SumNeighbours(rows4567));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> SumPairs(Vector256<short> left, Vector256<short> right)
    {
        Vector256<int> products = (left * right).AsInt32();
        return (products << 16 >> 16) + (products >> 16);
    }

    /// <summary>Lane i: the sum of lanes 2i and 2i + 1.</summary>
    private static Vector256<long> SumNeighbours(Vector256<int> values)
    {
        Vector256<long> pairs = values.AsInt64();
        return (pairs << 32 >> 32) + (pairs >> 32);
    }

    /// <summary>A block's four- or six-bit quants as bytes [8 quads][16 rows][4].</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Unpack(WeightFormat format, byte* step, int block, byte* quants)
    {
        byte* nibbles = step + block * (format == WeightFormat.Q6_K ? 6 : 4) * QuadBytes;
        Vector256<byte> mask = Vector256.Create((byte)15);
        for (int i = 0; i < 4 * QuadBytes; i += 32)
        {
            Vector256<byte> two = Vector256.Load(nibbles + i);
            Vector256.Store(two & mask, quants + i);
            Vector256.Store(two >>> 4, quants + 4 * QuadBytes + i);
        }

        if (format == WeightFormat.Q6_K)
        {
            AddHighBits(nibbles + 4 * QuadBytes, quants);
        }
    }

    private static void AddHighBits(byte* pairs, byte* quants)
    {
        for (int half = 0; half < 2; half++)
        {
            for (int i = 0; i < 4 * QuadBytes; i += 32)
            {
                Vector256<byte> four = Vector256.Load(pairs + half * QuadBytes + i % QuadBytes);
                Vector256<byte> high = (four >>> i / QuadBytes * 2 & Vector256.Create((byte)3)) << 4;
                byte* target = quants + half * 4 * QuadBytes + i;
                Vector256.Store(Vector256.Load(target) | high, target);
            }
        }
    }

    /// <summary>The weights' scales (two groups of them for Q6_K) and, for Q4_K, minimums of a block, per row.</summary>
    [SkipLocalsInit]
    private static void LoadScales(WeightFormat format, byte* step, int block, float* scales, float* mins)
    {
        float* factors = stackalloc float[PanelRows];
        switch (format)
        {
            case WeightFormat.Q8_0:
                LoadHalves(step + 1024 + block * 2 * PanelRows, scales);
                break;
            case WeightFormat.Q4_0:
                LoadHalves(step + 512 + block * 2 * PanelRows, scales);
                break;
            case WeightFormat.Q4_K:
                LoadHalves(step + 2304, factors);
                Scale(step + 2048 + block * PanelRows, factors, scales);
                LoadHalves(step + 2336, factors);
                Scale(step + 2176 + block * PanelRows, factors, mins);
                break;
            default:
                LoadHalves(step + 3328, factors);
                byte* groups = step + 3072 + block * 2 * PanelRows;
                Scale(groups, factors, scales, signed: true);
                Scale(groups + PanelRows, factors, scales + PanelRows, signed: true);
                break;
        }
    }

    private static void LoadHalves(byte* halves, float* values)
    {
        HalfVector.Widen((ushort*)halves).Store(values);
        HalfVector.Widen((ushort*)halves + 8).Store(values + 8);
    }

    /// <summary>values = integers · factors for sixteen rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Scale(byte* integers, float* factors, float* values, bool signed = false)
    {
        for (int i = 0; i < PanelRows; i += 8)
        {
            Vector128<byte> bytes = Vector128.CreateScalar(*(long*)(integers + i)).AsByte();
            Vector128<short> shorts = signed ? Vector128.WidenLower(bytes.AsSByte()) : Vector128.WidenLower(bytes).AsInt16();
            Vector256<int> widened = Vector256.Create(Vector128.WidenLower(shorts), Vector128.WidenUpper(shorts));
            (Vector256.ConvertToSingle(widened) * Vector256.Load(factors + i)).Store(values + i);
        }
    }
}
