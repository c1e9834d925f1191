using System.Runtime.InteropServices;
using LlamaServe.Kernels.Cuda;
using LlamaServe.Kernels.Cuda.Driver;
using LlamaServe.Kernels.Tests.Cuda.MatMul;

namespace LlamaServe.Kernels.Tests.Cuda;

/// <summary>W8A8 matrices behind the seam: who quantizes a row does not show in a bit, and formats may be stacked.</summary>
[Category(Toolchain.Emulated)]
internal sealed class CudaQuantizedRowsTests
{
    private const float Epsilon = 1e-5f;

    private CudaBackend _backend = null!;
    private readonly List<IDisposable> _inputs = [];

    [SetUp]
    public void CreateBackend()
    {
        TestDevice.Require(TestDevice.Emulated);
        _backend = new CudaBackend(new CudaBackendOptions { Emulated = true, PoolBytes = 32 << 20 });
    }

    [TearDown]
    public void DisposeBackend()
    {
        _inputs.ForEach(input => input.Dispose());
        _inputs.Clear();
        _backend?.Dispose();
    }

    [Test]
    public void A_norm_quantizes_its_rows_as_the_product_would(
        [Values(WeightFormat.Int8Dynamic, WeightFormat.Fp8)] WeightFormat format, [Values(72, 300, 16500)] int columns)
    {
        const int Rows = 3;
        Weight weight = LoadQuantized(format, 10, columns, 1);
        Weight gain = LoadVector(Uniform(columns, 2));
        Tensor x = Upload(Uniform(Rows * columns, 3), Rows, columns, DType.F32);
        AssertSameProduct(() => _backend.RmsNorm(x, gain, Epsilon), weight);
    }

    [Test]
    public void A_gated_activation_quantizes_its_rows_as_the_product_would(
        [Values(WeightFormat.Int8Dynamic, WeightFormat.Fp8)] WeightFormat format, [Values(72, 300, 33000)] int columns)
    {
        const int Rows = 2;
        Weight weight = LoadQuantized(format, 10, columns, 4);
        Tensor gateUp = Upload(Uniform(Rows * 2 * columns, 5), Rows, 2 * columns, DType.BF16);
        AssertSameProduct(() => _backend.GatedActivation(gateUp), weight);
    }

    [Test]
    public void A_row_is_quantized_again_in_the_next_layer_and_step()
    {
        const int Columns = 128;
        Weight weight = LoadQuantized(WeightFormat.Int8Dynamic, 10, Columns, 6);
        Weight gain = LoadVector(Uniform(Columns, 7));
        Tensor first = Upload(Uniform(Columns, 8), 1, Columns, DType.F32), second = Upload(Uniform(Columns, 9), 1, Columns, DType.F32);
        float[] Product(Tensor x) => Download(_backend.Linear(_backend.RmsNorm(x, gain, Epsilon), weight));
        float[] ofFirst = Product(first);
        _backend.ResetStep(); // equal addresses from here on
        float[] ofSecond = Product(second);
        _backend.BeginLayer();
        _backend.BeginLayer();
        Assert.That(ofSecond, Is.Not.EqualTo(ofFirst));
        Assert.That(Product(first), Is.EqualTo(ofFirst));
    }

    [Test]
    public void Formats_are_stacked_with_bias_and_residual([Values(1, 40)] int tokens)
    {
        const int Columns = 96;
        (WeightFormat Format, int Rows)[] shapes = [(WeightFormat.Int8Dynamic, 10), (WeightFormat.Int8Dynamic, 7), (WeightFormat.Q8_0, 20), (WeightFormat.Fp8, 9)];
        int rows = shapes.Sum(shape => shape.Rows);
        WeightData[] parts = [.. shapes.Select((shape, i) => Data(shape.Format, shape.Rows, Columns, i))];
        Tensor x = Upload(Uniform(tokens * Columns, 10), tokens, Columns, DType.BF16), residual = Upload(Uniform(tokens * rows, 11), tokens, rows, DType.F32);
        Weight bias = LoadVector(Uniform(rows, 12));
        float[] together = Download(_backend.Linear(x, _backend.LoadLinear(parts), bias, residual));
        float[] biases = Uniform(rows, 12);
        int first = 0;
        foreach (WeightData part in parts)
        {
            Weight ownBias = LoadVector(biases[first..(first + part.Rows)]);
            float[] alone = Download(_backend.Linear(x, _backend.LoadLinear([part]), ownBias, residual.Slice(first, part.Rows)));
            for (int token = 0; token < tokens; token++)
            {
                int from = token * rows + first;
                Assert.That(together[from..(from + part.Rows)], Is.EqualTo(alone[(token * part.Rows)..((token + 1) * part.Rows)]), part.Name);
            }
            first += part.Rows;
        }
    }

    /// <summary>The product of what an operation makes, and the product of the same BF16 values that come from elsewhere.</summary>
    private void AssertSameProduct(Func<Tensor> operation, Weight weight)
    {
        Tensor made = operation();
        float[] fused = Download(_backend.Linear(made, weight)), values = Download(made);
        Tensor copy = Upload(values, made.Rows, made.Columns, DType.BF16);
        Assert.That(Download(_backend.Linear(copy, weight)), Is.EqualTo(fused));
        Assert.That(fused, Has.Some.Not.Zero);
    }

    private Weight LoadQuantized(WeightFormat format, int rows, int columns, int seed) => _backend.LoadLinear([Data(format, rows, columns, seed)]);

    private WeightData Data(WeightFormat format, int rows, int columns, int seed)
    {
        bool hasScales = format.HasSeparateScales();
        byte[] bytes = hasScales ? TiledProduct.Random(format, rows * columns, seed) : StoredWeights.Random(new Random(seed), format, rows * columns);
        return new WeightData($"{format}", format, rows, columns, Pin(bytes)) { Scales = hasScales ? Pin(Uniform(rows, seed)) : 0 };
    }

    private Weight LoadVector(float[] values) => _backend.LoadVector([new WeightData("vector", WeightFormat.F32, 1, values.Length, Pin(values))]);

    private nint Pin<T>(T[] values)
        where T : unmanaged
    {
        T[] pinned = GC.AllocateArray<T>(values.Length, pinned: true);
        values.CopyTo(pinned, 0);
        _inputs.Add(new Kept(pinned));
        return Marshal.UnsafeAddrOfPinnedArrayElement(pinned, 0);
    }

    private static float[] Uniform(int count, int seed)
    {
        Random random = new(seed);
        return [.. Enumerable.Range(0, count).Select(_ => 2 * random.NextSingle() - 1)];
    }

    private Tensor Upload(float[] values, int rows, int columns, DType type)
    {
        CudaDeviceVariable<byte> memory = new(_backend.Runtime.Context, values.Length * type.Size());
        _inputs.Add(memory);
        memory.CopyToDevice(type == DType.F32
            ? MemoryMarshal.AsBytes(values.AsSpan()) : MemoryMarshal.AsBytes(Array.ConvertAll(values, BFloat16Values.FromFloat).AsSpan()));
        return new Tensor((nint)memory.Pointer.Address, rows, columns, columns, type);
    }

    private unsafe float[] Download(Tensor tensor)
    {
        byte[] bytes = new byte[tensor.Rows * tensor.Columns * tensor.Type.Size()];
        fixed (byte* to = bytes)
        {
            _backend.Runtime.Stream.CopyToHost(to, new DevicePtr((ulong)tensor.Address), bytes.Length);
            _backend.Runtime.Stream.Synchronize();
        }
        return tensor.Type == DType.F32
            ? MemoryMarshal.Cast<byte, float>(bytes).ToArray()
            : Array.ConvertAll(MemoryMarshal.Cast<byte, ushort>(bytes).ToArray(), BFloat16Values.ToFloat);
    }

    /// <summary>Keeps an array alive.</summary>
    private sealed record Kept(Array Values) : IDisposable
    {
        public void Dispose()
        {
        }
    }
}
