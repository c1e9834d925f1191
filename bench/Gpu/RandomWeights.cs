using System.Buffers.Binary;
using System.Runtime.InteropServices;
using LlamaServe.Bench.Models;
using LlamaServe.Kernels;
using LlamaServe.Models.Weights;

namespace LlamaServe.Bench.Gpu;

/// <summary>
/// Random weights of any number and size out of one buffer, as large as the largest of them, so that a model of 140 GB needs
/// neither disk nor memory. Elements are about N(0, 0.02²); every one is a legal value of its format.
/// </summary>
/// <remarks>
/// The buffer is a mapped file: loaders give a checkpoint's pages back to the system once they are read, and those of a file
/// return with their content.
/// </remarks>
internal sealed unsafe class RandomWeights : IDisposable
{
    private const float Deviation = 0.02f;

    /// <summary>Of vectors, which are gains.</summary>
    private const float GainDeviation = 1;

    /// <summary>Elements that are drawn; the buffer repeats them.</summary>
    private const int Period = 1 << 21;

    private readonly string _path = Path.Combine(Path.GetTempPath(), $"llamaserve-weights-{Guid.NewGuid():N}");
    private readonly MappedFile _buffer;
    private readonly float* _scales;
    private readonly byte* _zeros;

    /// <param name="elements">Of the largest weight.</param>
    /// <param name="groupSize">Columns that share a scale, for <see cref="WeightFormat.Int4"/> and <see cref="WeightFormat.Int8"/>; 0 for whole rows.</param>
    /// <param name="hasZeros">Whether each scale has a zero point.</param>
    public RandomWeights(WeightFormat format, long elements, int groupSize = 0, bool hasZeros = false)
    {
        (Format, GroupSize, HasZeros) = (format, groupSize, hasZeros);
        byte[] period = Draw(format);
        using (FileStream file = new(_path, FileMode.CreateNew))
        {
            for (long left = format.Bytes((elements + 511) / 512 * 512); left > 0; left -= period.Length)
            {
                file.Write(period, 0, (int)Math.Min(left, period.Length));
            }
        }
        _buffer = MappedFile.Open(_path);
        if (format.HasSeparateScales())
        {
            // A row has at least 32 columns to a scale.
            long scales = elements / 32 + 1;
            _scales = (float*)NativeMemory.Alloc((nuint)scales, sizeof(float));
            new Span<float>(_scales, checked((int)scales)).Fill(Scale(format));
            if (hasZeros)
            {
                _zeros = (byte*)NativeMemory.Alloc((nuint)scales);
                new Span<byte>(_zeros, checked((int)scales)).Fill(format == WeightFormat.Int4 ? (byte)7 : (byte)127);
            }
        }
    }

    public WeightFormat Format { get; }

    public int GroupSize { get; }

    public bool HasZeros { get; }

    /// <summary>A matrix, or a vector of one row; all of them begin at the same byte.</summary>
    public WeightData Matrix(string name, int rows, int columns) =>
        new(name, Format, rows, columns, _buffer.Address) { Scales = (nint)_scales, ZeroPoints = (nint)_zeros, GroupSize = GroupSize };

    /// <summary>The same as a checkpoint's tensor, without scales.</summary>
    public TensorSource Tensor(string name, params long[] shape) =>
        new(name, Format, shape, _buffer.Address, Format.Bytes(shape.Aggregate(1L, (product, size) => product * size)), _buffer.Name);

    public void Dispose()
    {
        NativeMemory.Free(_scales);
        NativeMemory.Free(_zeros);
        _buffer.Dispose();
        File.Delete(_path);
    }

    /// <summary>Fewest bytes that the device has to read for such a matrix: quants, 16 bits for each scale, 8 for each zero point.</summary>
    public double LeastBytes(double rows, double columns) =>
        LeastBytes(Format, GroupSize, rows, columns) + (HasZeros ? rows * (GroupSize == 0 ? 1 : columns / GroupSize) : 0);

    /// <summary>The same without zero points.</summary>
    public static double LeastBytes(WeightFormat format, int groupSize, double rows, double columns) =>
        rows * columns / format.BlockElements() * format.BlockBytes()
        + (format.HasSeparateScales() ? 2 * rows * (groupSize == 0 ? 1 : columns / groupSize) : 0);

    /// <summary>Makes the quants' root mean square <see cref="Deviation"/>.</summary>
    private static float Scale(WeightFormat format) => Deviation / format switch
    {
        WeightFormat.Int4 => 4.6f,
        WeightFormat.Fp8 => 1.45f,
        _ => 73.9f,
    };

    private static byte[] Draw(WeightFormat format)
    {
        byte[] bytes = new byte[format.Bytes(Period)];
        if (format.HasSeparateScales())
        {
            new Random(1).NextBytes(bytes);
            for (int i = 0; format == WeightFormat.Fp8 && i < bytes.Length; i++)
            {
                // Sign and mantissa are random, the exponent is 0: no NaN.
                bytes[i] = (byte)((bytes[i] & 0x87) | 0x38);
            }
            return bytes;
        }
        if (format is WeightFormat.Q4_K or WeightFormat.Q6_K)
        {
            return DrawBlocks(format, bytes);
        }
        float[] values = new float[Period];
        NormalNoise.Fill(values, seed: 1, stream: 0, format == WeightFormat.F32 ? GainDeviation : Deviation);
        RowEncoder.Encode(format, values, bytes);
        return bytes;
    }

    /// <summary>Random quants and scales of 6 or 8 bits; a block's own F16 scale, and Q4_K's of its minimums, make their sizes and mean right.</summary>
    private static byte[] DrawBlocks(WeightFormat format, byte[] bytes)
    {
        new Random(1).NextBytes(bytes);
        for (int block = 0; block < bytes.Length; block += format.BlockBytes())
        {
            Span<byte> own = bytes.AsSpan(block, format.BlockBytes());
            if (format == WeightFormat.Q4_K)
            {
                BinaryPrimitives.WriteHalfLittleEndian(own, (Half)(Deviation / 258));
                BinaryPrimitives.WriteHalfLittleEndian(own[2..], (Half)(7.5f * Deviation / 258));
            }
            else
            {
                BinaryPrimitives.WriteHalfLittleEndian(own[^2..], (Half)(Deviation / 1366));
            }
        }
        return bytes;
    }
}
