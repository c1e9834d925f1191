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

    /// <param name="elements">Of the largest weight.</param>
    /// <param name="groupSize">Columns that share a scale, for <see cref="WeightFormat.Int4"/> and <see cref="WeightFormat.Int8"/>; 0 for whole rows.</param>
    public RandomWeights(WeightFormat format, long elements, int groupSize = 0)
    {
        (Format, GroupSize) = (format, groupSize);
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
        }
    }

    public WeightFormat Format { get; }

    public int GroupSize { get; }

    /// <summary>A matrix, or a vector of one row; all of them begin at the same byte.</summary>
    public WeightData Matrix(string name, int rows, int columns) =>
        new(name, Format, rows, columns, _buffer.Address) { Scales = (nint)_scales, GroupSize = GroupSize };

    /// <summary>The same as a checkpoint's tensor, without scales.</summary>
    public TensorSource Tensor(string name, params long[] shape) =>
        new(name, Format, shape, _buffer.Address, Format.Bytes(shape.Aggregate(1L, (product, size) => product * size)), _buffer.Name);

    public void Dispose()
    {
        NativeMemory.Free(_scales);
        _buffer.Dispose();
        File.Delete(_path);
    }

    /// <summary>Fewest bytes that the device has to read for a matrix: quants, and 16 bits for each scale.</summary>
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
        float[] values = new float[Period];
        NormalNoise.Fill(values, seed: 1, stream: 0, format == WeightFormat.F32 ? GainDeviation : Deviation);
        RowEncoder.Encode(format, values, bytes);
        return bytes;
    }
}
