using System.Runtime.InteropServices;
using LlamaServe.Kernels.Cuda;
using LlamaServe.Kernels.Cuda.Compilation;
using LlamaServe.Kernels.Cuda.Driver;
using LlamaServe.Kernels.Cuda.Memory;

namespace LlamaServe.Kernels.Tests.Cuda.MatMul;

/// <summary>A W8A8 matrix of random elements on a device, and products with rows that are quantized there.</summary>
internal sealed unsafe class TiledProduct : IDisposable
{
    private const int PoolBytes = 32 << 20;

    /// <summary>Lies where no result is written; exact in BF16.</summary>
    private const float Untouched = -12288;

    private readonly GpuArchitecture _architecture;
    private readonly CudaContext _context;
    private readonly CudaStream _stream;
    private readonly DevicePool _pool;
    private readonly StepArena _arena;
    private readonly TiledMatMul _matMul;
    private readonly ActivationQuantizer _quantizer;
    private readonly TestUnits _units;
    private readonly TiledMatrix _matrix;
    private readonly byte[] _elements;
    private readonly float[] _scales;

    /// <param name="architecture">Whose kernels run; null for the device's own.</param>
    /// <param name="splits">In how many runs the columns are summed.</param>
    /// <param name="elements">Of the weight, row by row.</param>
    /// <param name="multiprocessors">Of the device that launches are made for: with few, CTAs compute several tiles, and tiles are wide.</param>
    public TiledProduct(
        TestDevice device, GpuArchitecture? architecture, WeightFormat format, int columns, int splits, int maxTokens, byte[] elements, int multiprocessors = 2)
    {
        _architecture = architecture ?? GpuArchitectures.Of(device.Context.Device);
        _context = device.Context;
        _stream = new CudaStream(_context);
        _pool = new DevicePool(_context, PoolBytes);
        _units = new TestUnits(device, architecture);
        _arena = new StepArena(Allocate, DevicePool.Alignment);
        _matMul = new TiledMatMul(_units.Load, _architecture, multiprocessors);
        _quantizer = new ActivationQuantizer(_arena, _stream, (unit, name) => _units.Load(unit).GetKernel(name));
        _elements = elements;
        _scales = [.. Enumerable.Range(0, elements.Length / columns).Select(row => (1 + row % 7) / 64f)];
        TiledMatrix matrix = Load(format, columns);
        _matrix = matrix with { Splits = Math.Min(splits, matrix.Chunks) };
        _matMul.Prepare(_matrix);
        _quantizer.Prepare(_matrix.Format, columns);
        _matMul.Reserve(maxTokens, _pool, _stream);
    }

    public int Rows => _matrix.Rows;

    /// <summary>Random elements, of FP8 without NaN.</summary>
    public static byte[] Random(WeightFormat format, int count, int seed)
    {
        byte[] elements = new byte[count];
        Random random = new(seed);
        random.NextBytes(elements);
        return format == WeightFormat.Fp8 ? Array.ConvertAll(elements, bits => (bits & 127) == 127 ? (byte)(bits - 1) : bits) : elements;
    }

    /// <summary>The product in double precision with rows quantized as the kernels are to do it.</summary>
    public double[] Expected(ReadOnlySpan<float> x, float[]? bias = null, float[]? residual = null)
    {
        int columns = _matrix.Columns;
        bool isInt8 = _matrix.Format == TiledFormat.Int8;
        double[] rows = new double[x.Length], weight = new double[_elements.Length];
        for (int row = 0; row < x.Length / columns; row++)
        {
            float[] own = Array.ConvertAll(x.Slice(row * columns, columns).ToArray(), BFloat16Values.Round);
            float magnitude = own.Max(Math.Abs), largest = isInt8 ? 127 : 448, factor = largest / magnitude;
            for (int k = 0; k < columns; k++)
            {
                float scaled = own[k] * factor;
                rows[row * columns + k] = (double)(magnitude / largest) * (isInt8 ? Math.Round(scaled) : Fp8Values.ToDouble(Fp8Values.FromDouble(scaled)));
            }
        }
        for (int i = 0; i < weight.Length; i++)
        {
            weight[i] = _scales[i / columns] * (isInt8 ? (sbyte)_elements[i] : Fp8Values.ToDouble(_elements[i]));
        }
        return ReferenceOps.Linear(
            rows, weight, columns, bias is null ? null : Array.ConvertAll(bias, value => (double)value), residual is null ? null : Array.ConvertAll(residual, value => (double)value));
    }

    /// <summary>x · Wᵀ (+ bias) (+ residual, in whose place the result is written), after checking that nothing else was written.</summary>
    /// <param name="padding">Elements between the output's rows.</param>
    public float[] Run(ReadOnlySpan<float> x, DType type = DType.F32, float[]? bias = null, float[]? residual = null, int padding = 0)
    {
        int tokens = x.Length / _matrix.Columns, stride = Rows + padding;
        float[] before = new float[tokens * stride];
        Array.Fill(before, Untouched);
        for (int row = 0; residual is not null && row < tokens; row++)
        {
            residual.AsSpan(row * Rows, Rows).CopyTo(before.AsSpan(row * stride));
        }
        using CudaDeviceVariable<byte> input = Upload(x, DType.BF16), biasVector = Upload(bias ?? [0], DType.F32), output = Upload(before, type);
        Tensor rows = new((nint)input.Pointer.Address, tokens, _matrix.Columns, _matrix.Columns, DType.BF16);
        Tensor y = new((nint)output.Pointer.Address, tokens, Rows, stride, type);
        _arena.ResetStep();
        _quantizer.Forget();
        _matMul.Run(_stream, _quantizer.Of(rows, _matrix.Format), _matrix, bias is null ? default : biasVector.Pointer, residual is null ? null : y, y);
        _stream.Synchronize();
        byte[] bytes = new byte[output.ByteLength];
        output.CopyToHost(bytes);
        float[] after = type == DType.F32
            ? MemoryMarshal.Cast<byte, float>(bytes).ToArray()
            : Array.ConvertAll(MemoryMarshal.Cast<byte, ushort>(bytes).ToArray(), BFloat16Values.ToFloat);
        for (int row = 0; row < tokens; row++)
        {
            Assert.That(after[(row * stride + Rows)..((row + 1) * stride)], Is.All.EqualTo(Untouched), $"behind row {row}");
        }
        return [.. Enumerable.Range(0, tokens).SelectMany(row => after[(row * stride)..(row * stride + Rows)])];
    }

    /// <summary>Bytes that quantizing and multiplying rows allocate on the managed heap once they have done so before.</summary>
    public long AllocatedBytes(int tokens)
    {
        using CudaDeviceVariable<byte> input = Upload(new float[tokens * _matrix.Columns], DType.BF16), output = Upload(new float[tokens * Rows], DType.F32);
        Tensor x = new((nint)input.Pointer.Address, tokens, _matrix.Columns, _matrix.Columns, DType.BF16);
        Tensor y = new((nint)output.Pointer.Address, tokens, Rows, Rows, DType.F32);
        long before = 0;
        for (int warmUp = 0; warmUp < 3; warmUp++)
        {
            before = GC.GetAllocatedBytesForCurrentThread();
            _arena.ResetStep();
            _quantizer.Forget();
            _matMul.Run(_stream, _quantizer.Of(x, _matrix.Format), _matrix, default, null, y);
        }
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        _stream.Synchronize();
        return allocated;
    }

    public void Dispose()
    {
        _arena.Dispose();
        _units.Dispose();
        _pool.Dispose();
        _stream.Dispose();
    }

    private TiledMatrix Load(WeightFormat format, int columns)
    {
        using UploadRing ring = new(_context, chunkBytes: 64 << 10);
        using TiledLoader loader = new(_pool, ring, _stream, _architecture);
        fixed (byte* elements = _elements)
        fixed (float* scales = _scales)
        {
            WeightData data = new("weights", format, _scales.Length, columns, (nint)elements) { Scales = (nint)scales };
            return loader.Load([data]);
        }
    }

    private ArenaChunk Allocate(long bytes)
    {
        CudaDeviceVariable<byte> memory = new(_context, bytes);
        return new ArenaChunk((nint)memory.Pointer.Address, bytes, memory);
    }

    private CudaDeviceVariable<byte> Upload(ReadOnlySpan<float> values, DType type)
    {
        CudaDeviceVariable<byte> memory = new(_context, Math.Max(1, values.Length) * type.Size());
        memory.CopyToDevice(type == DType.F32
            ? MemoryMarshal.AsBytes(values)
            : MemoryMarshal.AsBytes(Array.ConvertAll(values.ToArray(), BFloat16Values.FromFloat).AsSpan()));
        return memory;
    }
}
