using System.Runtime.InteropServices;
using LlamaServe.Kernels.Cpu;

namespace LlamaServe.Kernels.Tests;

/// <summary>A backend by name, and what tests need to feed it and to read its results.</summary>
internal abstract unsafe class OpTests(string backendName)
{
    private readonly List<nint> _allocations = [];

    protected IBackend Backend { get; private set; } = null!;

    [OneTimeSetUp]
    public void CreateBackend() => Backend = backendName switch
    {
        "cpu" => new CpuBackend(new CpuBackendOptions { Threads = 2 }),
        "cpu-portable" => new CpuBackend(new CpuBackendOptions { Threads = 3, Portable = true }),
        _ => throw new ArgumentException($"no backend is called {backendName}"),
    };

    [OneTimeTearDown]
    public void DisposeBackend() => Backend.Dispose();

    [TearDown]
    public void FreeInputs()
    {
        Backend.ResetStep();
        _allocations.ForEach(address => NativeMemory.Free((void*)address));
        _allocations.Clear();
    }

    /// <summary>Memory that lives until the end of the test.</summary>
    protected nint Allocate(ReadOnlySpan<byte> content)
    {
        void* memory = NativeMemory.Alloc((nuint)content.Length);
        content.CopyTo(new Span<byte>(memory, content.Length));
        _allocations.Add((nint)memory);
        return (nint)memory;
    }

    /// <summary>Rows <paramref name="padding"/> elements apart, with NaN between them.</summary>
    protected Tensor Upload(ReadOnlySpan<float> values, int rows, int columns, int padding = 0)
    {
        int stride = columns + padding;
        float[] padded = new float[Math.Max(1, rows * stride)];
        Array.Fill(padded, float.NaN);
        for (int row = 0; row < rows; row++)
        {
            values.Slice(row * columns, columns).CopyTo(padded.AsSpan(row * stride));
        }
        return new Tensor(Allocate(MemoryMarshal.AsBytes(padded.AsSpan())), rows, columns, stride, DType.F32);
    }

    public static float[] Download(Tensor tensor)
    {
        float[] values = new float[tensor.Rows * tensor.Columns];
        for (int row = 0; row < tensor.Rows; row++)
        {
            new ReadOnlySpan<float>((float*)tensor.Address + (long)row * tensor.RowStride, tensor.Columns).CopyTo(values.AsSpan(row * tensor.Columns));
        }
        return values;
    }

    protected WeightData Stored(WeightFormat format, int rows, int columns, ReadOnlySpan<byte> content) =>
        new($"test.{format}", format, rows, columns, Allocate(content));

    protected Weight Vector(float[] values) =>
        Backend.LoadVector([Stored(WeightFormat.F32, 1, values.Length, MemoryMarshal.AsBytes(values.AsSpan()))]);

    protected static float[] Uniform(Random random, int count, float scale = 1)
    {
        float[] values = new float[count];
        for (int i = 0; i < count; i++)
        {
            values[i] = scale * (2 * random.NextSingle() - 1);
        }
        return values;
    }

    protected static double[] Doubles(float[] values) => Array.ConvertAll(values, value => (double)value);

    protected static void AssertClose(float[] actual, double[] expected, double tolerance) =>
        Assert.That(Tolerances.NormalizedMeanSquareError(actual, expected), Is.LessThanOrEqualTo(tolerance));
}
