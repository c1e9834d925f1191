using System.Runtime.InteropServices;
using LlamaServe.Kernels.Cuda;
using LlamaServe.Kernels.Cuda.Driver;
using LlamaServe.Kernels.Cuda.Memory;

namespace LlamaServe.Kernels.Tests.Cuda.MatMul;

/// <summary>A matrix on a device, and products with it. Activations are rounded to BF16 on their way.</summary>
internal sealed unsafe class DeviceProduct : IDisposable
{
    private const int PoolBytes = 16 << 20;

    /// <summary>Lies where no result is written; exact in BF16.</summary>
    private const float Untouched = -12288;

    private readonly CudaContext _context;
    private readonly CudaStream _stream;
    private readonly DevicePool _pool;
    private readonly List<CudaModule> _modules = [];
    private readonly CudaMatMul _matMul;

    /// <param name="splits">In how many runs the columns are summed; 0 for what the loader chooses.</param>
    /// <param name="maxTokens">Most rows of activations.</param>
    public DeviceProduct(TestDevice device, int columns, int splits, int maxTokens, params ReadOnlySpan<(WeightFormat Format, byte[] Bytes)> parts)
        : this(device, splits, maxTokens, Store(columns, parts, out GCHandle[] pins)) => Array.ForEach(pins, pin => pin.Free());

    /// <param name="parts">Are read until this returns.</param>
    public DeviceProduct(TestDevice device, int splits, int maxTokens, params ReadOnlySpan<WeightData> parts)
    {
        _context = device.Context;
        _stream = new CudaStream(_context);
        _pool = new DevicePool(_context, PoolBytes);
        _matMul = new CudaMatMul(unit => Keep(device.Platform.LoadModule(_context, unit)));
        Weight = Load(parts);
        if (splits > 0)
        {
            Weight = new CudaLinear([.. Weight.Segments.ToArray().Select(matrix => matrix with { Splits = Math.Min(splits, matrix.Chunks) })]);
        }
        _matMul.Prepare(Weight);
        _matMul.Reserve(maxTokens, _pool, _stream);
    }

    public CudaLinear Weight { get; }

    /// <summary>x · Wᵀ (+ bias) (+ residual, in whose place the result is written), after checking that nothing else was written.</summary>
    /// <param name="x">Dense rows.</param>
    /// <param name="padding">Elements between the output's rows.</param>
    public float[] Run(ReadOnlySpan<float> x, DType type = DType.F32, float[]? bias = null, float[]? residual = null, int padding = 0)
    {
        int tokens = x.Length / Weight.Columns, xStride = (Weight.Columns + 7) / 8 * 8 + 8;
        using CudaDeviceVariable<byte> input = Upload(Spread(x, Weight.Columns, xStride, float.NaN), DType.BF16);
        using CudaDeviceVariable<byte> biasVector = Upload(bias ?? [0], DType.F32);
        float[] before = Spread(residual ?? new float[tokens * Weight.Rows], Weight.Rows, Weight.Rows + padding, Untouched);
        using CudaDeviceVariable<byte> output = Upload(before, type);
        Tensor y = new((nint)output.Pointer.Address, tokens, Weight.Rows, Weight.Rows + padding, type);
        Tensor rows = new((nint)input.Pointer.Address, tokens, Weight.Columns, xStride, DType.BF16);
        _matMul.Run(_stream, rows, Weight, bias is null ? default : biasVector.Pointer, residual is null ? null : y, y);
        _stream.Synchronize();
        byte[] bytes = new byte[output.ByteLength];
        output.CopyToHost(bytes);
        float[] after = type == DType.F32
            ? MemoryMarshal.Cast<byte, float>(bytes).ToArray()
            : Array.ConvertAll(MemoryMarshal.Cast<byte, ushort>(bytes).ToArray(), BFloat16Values.ToFloat);
        return Gather(after, y.RowStride);
    }

    /// <summary>Bytes that one more launch of the last shape allocates on the managed heap.</summary>
    public long AllocatedBytesOfLaunch(int tokens)
    {
        using CudaDeviceVariable<byte> input = Upload(new float[tokens * Weight.Columns], DType.BF16), output = Upload(new float[tokens * Weight.Rows], DType.F32);
        Tensor x = new((nint)input.Pointer.Address, tokens, Weight.Columns, Weight.Columns, DType.BF16);
        Tensor y = new((nint)output.Pointer.Address, tokens, Weight.Rows, Weight.Rows, DType.F32);
        long before = 0;
        for (int warmUp = 0; warmUp < 3; warmUp++)
        {
            before = GC.GetAllocatedBytesForCurrentThread();
            _matMul.Run(_stream, x, Weight, default, null, y);
        }
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        _stream.Synchronize();
        return allocated;
    }

    public void Dispose()
    {
        _modules.ForEach(module => module.Dispose());
        _pool.Dispose();
        _stream.Dispose();
    }

    private static float[] Spread(ReadOnlySpan<float> dense, int columns, int stride, float between)
    {
        float[] rows = new float[dense.Length / columns * stride];
        Array.Fill(rows, between);
        for (int row = 0; row < dense.Length / columns; row++)
        {
            dense.Slice(row * columns, columns).CopyTo(rows.AsSpan(row * stride));
        }
        return rows;
    }

    private float[] Gather(float[] values, int stride)
    {
        float[] dense = new float[values.Length / stride * Weight.Rows];
        for (int row = 0; row < values.Length / stride; row++)
        {
            values.AsSpan(row * stride, Weight.Rows).CopyTo(dense.AsSpan(row * Weight.Rows));
            Assert.That(values.AsSpan(row * stride + Weight.Rows, stride - Weight.Rows).ToArray(), Is.All.EqualTo(Untouched), $"behind row {row}");
        }
        return dense;
    }

    private static WeightData[] Store(int columns, ReadOnlySpan<(WeightFormat Format, byte[] Bytes)> parts, out GCHandle[] pins)
    {
        WeightData[] data = new WeightData[parts.Length];
        pins = new GCHandle[parts.Length];
        for (int i = 0; i < parts.Length; i++)
        {
            (WeightFormat format, byte[] bytes) = parts[i];
            pins[i] = GCHandle.Alloc(bytes, GCHandleType.Pinned);
            data[i] = new WeightData("weights", format, (int)(bytes.Length / format.Bytes(columns)), columns, pins[i].AddrOfPinnedObject());
        }
        return data;
    }

    private CudaLinear Load(ReadOnlySpan<WeightData> parts)
    {
        using UploadRing ring = new(_context, chunkBytes: 64 << 10);
        using LinearLoader loader = new(_pool, ring, _stream);
        return loader.Load(parts);
    }

    private CudaDeviceVariable<byte> Upload(float[] values, DType type)
    {
        CudaDeviceVariable<byte> memory = new(_context, Math.Max(1, values.Length) * type.Size());
        memory.CopyToDevice(type == DType.F32
            ? MemoryMarshal.AsBytes(values.AsSpan())
            : MemoryMarshal.AsBytes(Array.ConvertAll(values, BFloat16Values.FromFloat).AsSpan()));
        return memory;
    }

    private CudaModule Keep(CudaModule module)
    {
        _modules.Add(module);
        return module;
    }
}
