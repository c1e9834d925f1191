using System.Runtime.InteropServices;
using LlamaServe.Kernels.Cuda;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Tests.Cuda;

/// <summary>The backend's operations from the seam down, where a decoder's rows meet: types, strides, lists of the batch.</summary>
[Category(Toolchain.Emulated)]
internal sealed class CudaBackendTests
{
    private CudaBackend _backend = null!;
    private readonly List<IDisposable> _inputs = [];

    [OneTimeSetUp]
    public void CreateBackend()
    {
        TestDevice.Require(TestDevice.Emulated);
        _backend = new CudaBackend(new CudaBackendOptions { Emulated = true, PoolBytes = 32 << 20 });
    }

    [OneTimeTearDown]
    public void DisposeBackend() => _backend?.Dispose();

    [TearDown]
    public void FreeInputs()
    {
        _backend.ResetStep();
        _inputs.ForEach(input => input.Dispose());
        _inputs.Clear();
    }

    [Test]
    public void Embed_looks_rows_up([Values(WeightFormat.F32, WeightFormat.Q8_0, WeightFormat.Q6_K)] WeightFormat format)
    {
        const int Rows = 11, Columns = 256;
        byte[] bytes = StoredWeights.Random(new Random(1), format, Rows * Columns);
        using Weight table = Load(bytes, data => _backend.LoadEmbedding(data, alsoLinear: false), format, Rows, Columns);
        int[] ids = [10, 0, 3, 3, 7];
        double[] all = StoredWeights.Decode(format, bytes, Rows * Columns);
        double[] expected = [.. ids.SelectMany(id => all.AsSpan(id * Columns, Columns).ToArray())];
        AssertClose(_backend.Embed(Batch(ids), table), expected, Tolerances.BF16);
    }

    [Test]
    public void RmsNorm_agrees_with_the_reference([Values(1, 7, 80, 704, 4096, 5000)] int columns)
    {
        Random random = new(columns);
        float[] x = Uniform(random, 3 * columns), gain = Uniform(random, columns);
        using Weight weight = Load(gain, data => _backend.LoadVector([data]), 1, columns);
        AssertClose(_backend.RmsNorm(Upload(x, 3, columns), weight, 1e-5f), ReferenceOps.RmsNorm(Doubles(x), Doubles(gain), 1e-5f), Tolerances.BF16);
    }

    [Test]
    public void GatedActivation_agrees_with_the_reference([Values(2, 14, 128, 1408)] int columns)
    {
        float[] x = Uniform(new Random(columns), 5 * columns);
        AssertClose(_backend.GatedActivation(Upload(x, 5, columns)), ReferenceOps.GatedActivation(Doubles(x), columns), Tolerances.F32);
    }

    [Test]
    public void GatherRows_copies_the_rows_that_need_logits([Values(10, 64)] int columns)
    {
        float[] x = Uniform(new Random(6), 7 * columns);
        ForwardBatch batch = new(7, 3, 1);
        batch.Add([1, 2, 3], 0, [0], 16, 2);
        batch.Add([4], 0, [1], 16, 1);
        batch.Add([5, 6, 7], 0, [2], 16, 0);
        float[] y = Download(_backend.GatherRows(Upload(x, 7, columns), batch));
        Assert.That(y, Is.EqualTo((float[])[.. x[(2 * columns)..(3 * columns)], .. x[(4 * columns)..]]));
    }

    [Test]
    public void Linear_takes_rows_of_F32_and_adds_bias_and_residual([Values(1, 9)] int rows)
    {
        const int Features = 50, Columns = 96;
        Random random = new(rows);
        float[] matrix = Uniform(random, Features * Columns), x = Uniform(random, rows * Columns);
        float[] bias = Uniform(random, Features), residual = Uniform(random, rows * Features);
        using Weight weight = Load(matrix, data => _backend.LoadLinear([data]), Features, Columns);
        using Weight vector = Load(bias, data => _backend.LoadVector([data]), 1, Features);
        Tensor y = _backend.Linear(Upload(x, rows, Columns), weight, vector, Upload(residual, rows, Features));
        Assert.That(y.Type, Is.EqualTo(DType.F32));
        AssertClose(y, ReferenceOps.Linear(Doubles(x), Doubles(matrix), Columns, Doubles(bias), Doubles(residual)), Tolerances.BF16);
    }

    [Test]
    public void CopyBlocks_copies_in_order_in_all_layers()
    {
        KvCacheShape shape = new(Layers: 2, Blocks: 4, BlockSize: 16, KvHeads: 1, HeadDim: 64, DType.BF16);
        using CudaKvCache cache = (CudaKvCache)_backend.CreateKvCache(shape);
        ushort[] content = new ushort[shape.ByteLength / sizeof(ushort)];
        for (int i = 0; i < content.Length; i++)
        {
            content[i] = (ushort)i;
        }
        _backend.Runtime.Uploads.Upload(_backend.Runtime.Stream, cache.Memory, MemoryMarshal.AsBytes(content.AsSpan()));
        _backend.CopyBlocks(cache, [new BlockCopy(0, 1), new BlockCopy(1, 3)]);
        ushort[] copied = new ushort[content.Length];
        Download(cache.Memory, MemoryMarshal.AsBytes(copied.AsSpan()));
        int block = cache.BlockBytes / sizeof(ushort), region = 4 * block;
        for (int start = 0; start < content.Length; start += region)
        {
            content.AsSpan(start, block).CopyTo(content.AsSpan(start + block));
            content.AsSpan(start, block).CopyTo(content.AsSpan(start + 3 * block));
        }
        Assert.That(copied, Is.EqualTo(content));
    }

    [Test]
    public void Host_memory_that_the_driver_does_not_get_is_named()
    {
        KvCacheShape shape = new(4, 1, 16, 8, 256, DType.BF16, HostBlocks: int.MaxValue);
        Assert.That(
            () => new CudaKvCache(_backend.Runtime, shape),
            Throws.ArgumentException.With.Message.Contains("cuMemHostAlloc failed: CUDA_ERROR_OUT_OF_MEMORY").And.Message.EndsWith("lower --kv-host-gb"));
    }

    [Test]
    public void Wrong_arguments_are_named()
    {
        Assert.Multiple(() =>
        {
            Assert.That(() => _backend.CreateKvCache(new KvCacheShape(1, 1, 16, 1, 64, DType.F32)), Throws.ArgumentException.With.Message.Contains("BF16, Fp8 or Int8"));
            Assert.That(() => _backend.CreateKvCache(new KvCacheShape(1, 1, 8, 1, 64, DType.BF16)), Throws.ArgumentException.With.Message.Contains("multiples of 16"));
            Assert.That(() => _backend.CreateKvCache(new KvCacheShape(1, 1, 16, 1, 8, DType.BF16)), Throws.ArgumentException.With.Message.Contains("heads of 8"));
        });
    }

    private static ForwardBatch Batch(int[] ids)
    {
        ForwardBatch batch = new(ids.Length, 1, 1);
        batch.Add(ids, 0, [0], 16, 0);
        return batch;
    }

    private static Weight Load(float[] values, Func<WeightData, Weight> load, int rows, int columns) =>
        Load(MemoryMarshal.AsBytes(values.AsSpan()), load, WeightFormat.F32, rows, columns);

    private static unsafe Weight Load(ReadOnlySpan<byte> bytes, Func<WeightData, Weight> load, WeightFormat format, int rows, int columns)
    {
        fixed (byte* address = bytes)
        {
            return load(new WeightData("test", format, rows, columns, (nint)address));
        }
    }

    private static float[] Uniform(Random random, int count)
    {
        float[] values = new float[count];
        for (int i = 0; i < count; i++)
        {
            values[i] = 2 * random.NextSingle() - 1;
        }
        return values;
    }

    private static double[] Doubles(float[] values) => Array.ConvertAll(values, value => (double)value);

    private Tensor Upload(float[] values, int rows, int columns)
    {
        CudaDeviceVariable<float> memory = new(_backend.Runtime.Context, values.Length);
        _inputs.Add(memory);
        memory.CopyToDevice(values);
        return new Tensor((nint)memory.Pointer.Address, rows, columns, columns, DType.F32);
    }

    private float[] Download(Tensor tensor)
    {
        byte[] bytes = new byte[tensor.Rows * tensor.Columns * tensor.Type.Size()];
        Download(new DevicePtr((ulong)tensor.Address), bytes);
        return tensor.Type == DType.F32
            ? MemoryMarshal.Cast<byte, float>(bytes).ToArray()
            : Array.ConvertAll(MemoryMarshal.Cast<byte, ushort>(bytes).ToArray(), Bf16.Widen);
    }

    private unsafe void Download(DevicePtr address, Span<byte> destination)
    {
        fixed (byte* to = destination)
        {
            _backend.Runtime.Stream.CopyToHost(to, address, destination.Length);
            _backend.Runtime.Stream.Synchronize();
        }
    }

    private void AssertClose(Tensor actual, double[] expected, double tolerance) =>
        Assert.That(Tolerances.NormalizedMeanSquareError(Download(actual), expected), Is.LessThanOrEqualTo(tolerance));
}
