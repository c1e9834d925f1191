using System.Runtime.InteropServices;

namespace LlamaServe.Kernels.Tests;

/// <summary>Random weights whose scales lie beside them, and what they mean, in double precision.</summary>
internal sealed class ScaledWeights
{
    private readonly byte[] _elements, _zeroPoints;
    private readonly float[] _scales;

    /// <param name="groupSize">0: one group a row.</param>
    /// <param name="scale">A scale from a random number in [0, 1).</param>
    public ScaledWeights(WeightFormat format, int rows, int columns, int groupSize, bool hasZeroPoints, int seed, Func<double, double>? scale = null)
    {
        Random random = new(seed);
        WeightData data = new("scaled", format, rows, columns, 0) { GroupSize = groupSize };
        // Pinned: addresses stay as they are while this lives.
        _elements = GC.AllocateArray<byte>((int)format.Bytes(rows * columns), pinned: true);
        _scales = GC.AllocateArray<float>(rows * data.Groups, pinned: true);
        _zeroPoints = GC.AllocateArray<byte>(rows * data.Groups, pinned: true);
        random.NextBytes(_elements);
        if (format == WeightFormat.Fp8)
        {
            Array.ForEach([0x7F, 0xFF], nan => new Span<byte>(_elements).Replace((byte)nan, (byte)(nan - 1)));
        }
        for (int i = 0; i < _scales.Length; i++)
        {
            _scales[i] = (float)(scale ?? Half16)(random.NextDouble());
            _zeroPoints[i] = (byte)random.Next(format == WeightFormat.Int4 ? 17 : 256);
        }
        Data = data with
        {
            Address = Marshal.UnsafeAddrOfPinnedArrayElement(_elements, 0),
            Scales = Marshal.UnsafeAddrOfPinnedArrayElement(_scales, 0),
            ZeroPoints = hasZeroPoints ? Marshal.UnsafeAddrOfPinnedArrayElement(_zeroPoints, 0) : 0,
        };
    }

    public WeightData Data { get; }

    /// <summary>[Rows · Columns].</summary>
    public double[] Values()
    {
        double[] values = new double[Data.Rows * Data.Columns];
        for (int i = 0; i < values.Length; i++)
        {
            int row = i / Data.Columns, group = Data.GroupSize == 0 ? row : row * Data.Groups + i % Data.Columns / Data.GroupSize;
            values[i] = (double)_scales[group] * (Quant(i) - Zero(group));
        }
        return values;
    }

    /// <summary>An F16 of either sign.</summary>
    private static double Half16(double random) => (double)(Half)(random - 0.5);

    private double Quant(int i) => Data.Format switch
    {
        // 1 sign, 4 exponent bits around 7, 3 mantissa bits; 448 is the largest.
        WeightFormat.Fp8 => (_elements[i] < 128 ? 1 : -1) * Math.Pow(2, Math.Max(1, _elements[i] >> 3 & 15) - 7)
            * ((_elements[i] & 7) / 8.0 + ((_elements[i] & 0x78) != 0 ? 1 : 0)),
        WeightFormat.Int4 => i % 2 == 0 ? _elements[i / 2] & 15 : _elements[i / 2] >> 4,
        WeightFormat.Int8 when Data.ZeroPoints != 0 => _elements[i],
        _ => (sbyte)_elements[i],
    };

    private int Zero(int group) => Data.ZeroPoints != 0 ? _zeroPoints[group] : Data.Format == WeightFormat.Int4 ? 8 : 0;
}
