using System.Runtime.InteropServices;
using LlamaServe.Kernels.Cuda;
using LlamaServe.Kernels.Cuda.Compilation;
using LlamaServe.Kernels.Cuda.Driver;
using LlamaServe.Kernels.Cuda.Memory;

namespace LlamaServe.Kernels.Tests.Cuda.MatMul;

/// <summary>A BF16 or W8A8 matrix of random elements on a device, and products with rows that are quantized there where the format is.</summary>
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
    private readonly bool _isGated;

    /// <param name="architecture">Whose kernels run; null for the device's own.</param>
    /// <param name="splits">In how many runs the columns are summed.</param>
    /// <param name="elements">Of the weight, row by row; where gated, all gates and then all ups.</param>
    /// <param name="multiprocessors">Of the device that launches are made for: with few, CTAs compute several tiles, and tiles are wide.</param>
    public TiledProduct(
        TestDevice device,
        GpuArchitecture? architecture,
        WeightFormat format,
        int columns,
        int splits,
        int maxTokens,
        byte[] elements,
        int multiprocessors = 2,
        bool isGated = false)
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
        _isGated = isGated;
        _scales = [.. Enumerable.Range(0, (int)(elements.Length / format.Bytes(columns))).Select(row => (1 + row % 7) / 64f)];
        TiledMatrix matrix = Load(format, columns);
        _matrix = matrix with { Splits = Math.Min(splits, matrix.Chunks) };
        _matMul.Prepare(_matrix);
        if (_matrix.Format.IsQuantized)
        {
            _quantizer.Prepare(_matrix.Format, columns);
        }
        _matMul.Reserve(maxTokens, _pool, _stream);
    }

    public int Rows => _matrix.Rows;

    /// <summary>Random elements, of FP8 without NaN, of BF16 between -1 and 1.</summary>
    public static byte[] Random(WeightFormat format, int count, int seed)
    {
        byte[] elements = new byte[count];
        Random random = new(seed);
        if (format == WeightFormat.BF16)
        {
            ushort[] values = [.. Enumerable.Range(0, count).Select(_ => BFloat16Values.FromFloat((float)(random.NextDouble() * 2 - 1)))];
            return MemoryMarshal.AsBytes(values.AsSpan()).ToArray();
        }
        random.NextBytes(elements);
        return format == WeightFormat.Fp8 ? Array.ConvertAll(elements, bits => (bits & 127) == 127 ? (byte)(bits - 1) : bits) : elements;
    }

    /// <summary>The product in double precision with rows rounded or quantized as the kernels are to do it.</summary>
    public double[] Expected(ReadOnlySpan<float> x, float[]? bias = null, float[]? residual = null)
    {
        int columns = _matrix.Columns;
        double[] rows = new double[x.Length], weight = new double[_scales.Length * columns];
        for (int row = 0; row < x.Length / columns; row++)
        {
            Taken(Array.ConvertAll(x.Slice(row * columns, columns).ToArray(), BFloat16Values.Round)).CopyTo(rows.AsSpan(row * columns));
        }
        for (int i = 0; i < weight.Length; i++)
        {
            weight[i] = !_matrix.Format.IsQuantized
                ? BFloat16Values.ToFloat(BitConverter.ToUInt16(_elements, 2 * i))
                : _scales[i / columns] * (_matrix.Format == TiledFormat.Int8 ? (sbyte)_elements[i] : Fp8Values.ToDouble(_elements[i]));
        }
        double[] product = ReferenceOps.Linear(
            rows, weight, columns, bias is null ? null : Array.ConvertAll(bias, value => (double)value), residual is null ? null : Array.ConvertAll(residual, value => (double)value));
        return _isGated ? ReferenceOps.GatedActivation(product, 2 * Rows) : product;
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
        using CudaDeviceVariable<byte> input = UploadRows(x), biasVector = Upload(bias ?? [0], DType.F32), output = Upload(before, type);
        Tensor rows = InputRows(input, tokens);
        Tensor y = new((nint)output.Pointer.Address, tokens, Rows, stride, type);
        _arena.ResetStep();
        _quantizer.Forget();
        _matMul.Run(_stream, Activation(rows), _matrix, bias is null ? default : biasVector.Pointer, residual is null ? null : y, y);
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
        using CudaDeviceVariable<byte> input = UploadRows(new float[tokens * _matrix.Columns]), output = Upload(new float[tokens * Rows], DType.F32);
        Tensor x = InputRows(input, tokens);
        Tensor y = new((nint)output.Pointer.Address, tokens, Rows, Rows, DType.F32);
        long before = 0;
        for (int warmUp = 0; warmUp < 3; warmUp++)
        {
            before = GC.GetAllocatedBytesForCurrentThread();
            _arena.ResetStep();
            _quantizer.Forget();
            _matMul.Run(_stream, Activation(x), _matrix, default, null, y);
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
            WeightData data = new("weights", format, _scales.Length, columns, (nint)elements) { Scales = format == WeightFormat.BF16 ? 0 : (nint)scales };
            if (!_isGated)
            {
                return loader.Load(new PackedRows([data]));
            }
            int half = _scales.Length / 2;
            WeightData gate = data with { Rows = half }, up = gate with { Address = data.Address + _elements.Length / 2 };
            return loader.Load(new PackedRows([gate], [up with { Scales = data.Scales == 0 ? 0 : data.Scales + half * sizeof(float) }]));
        }
    }

    /// <summary>A row of BF16 as the products take it.</summary>
    private double[] Taken(float[] row)
    {
        if (!_matrix.Format.IsQuantized)
        {
            return Array.ConvertAll(row, value => (double)value);
        }
        bool isInt8 = _matrix.Format == TiledFormat.Int8;
        float magnitude = row.Max(Math.Abs), largest = isInt8 ? 127 : 448, factor = largest / magnitude;
        return Array.ConvertAll(row, value =>
            (double)(magnitude / largest) * (isInt8 ? Math.Round(value * factor) : Fp8Values.ToDouble(Fp8Values.FromDouble(value * factor))));
    }

    private TiledActivation Activation(Tensor rows) => _matrix.Format.IsQuantized ? _quantizer.Of(rows, _matrix.Format) : TiledActivation.OfRows(rows);

    private Tensor InputRows(CudaDeviceVariable<byte> input, int tokens) => new((nint)input.Pointer.Address, tokens, _matrix.Columns, InputStride, DType.BF16);

    private int InputStride => (_matrix.Columns + 7) / 8 * 8;

    /// <summary>Rows on 16 bytes each, with NaN between them.</summary>
    private CudaDeviceVariable<byte> UploadRows(ReadOnlySpan<float> x)
    {
        float[] rows = new float[x.Length / _matrix.Columns * InputStride];
        Array.Fill(rows, float.NaN);
        for (int row = 0; row < x.Length / _matrix.Columns; row++)
        {
            x.Slice(row * _matrix.Columns, _matrix.Columns).CopyTo(rows.AsSpan(row * InputStride));
        }
        return Upload(rows, DType.BF16);
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
