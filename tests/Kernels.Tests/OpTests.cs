using System.Runtime.InteropServices;
using LlamaServe.Kernels.Cpu;
using LlamaServe.Kernels.Cuda;
using LlamaServe.Kernels.Cuda.Driver;
using LlamaServe.Kernels.Tests.Cuda;

namespace LlamaServe.Kernels.Tests;

/// <summary>
/// A backend by name, and what tests need to feed it and to read its results. A test body runs on every backend; where a GPU keeps
/// BF16 instead of F32, <see cref="Tolerance(double)"/>, <see cref="RowType"/> and <see cref="CacheType"/> say so.
/// </summary>
internal abstract unsafe class OpTests(string backendName)
{
    /// <summary>A CUDA backend gives memory back as a whole, so one that has used half of it makes room for a fresh one after the test.</summary>
    private const long DevicePoolBytes = 128 << 20;

    private readonly List<nint> _allocations = [];
    private readonly List<IDisposable> _deviceAllocations = [];

    protected IBackend Backend { get; private set; } = null!;

    protected string BackendName => backendName;

    /// <summary>Kernels of a GPU, be it an emulated one.</summary>
    protected bool IsCuda => backendName is TestDevice.Emulated or TestDevice.Gpu;

    /// <summary>What the rows are that a product makes and attention takes.</summary>
    protected DType RowType => IsCuda ? DType.BF16 : DType.F32;

    /// <summary>The most precise keys and values.</summary>
    protected DType CacheType => RowType;

    /// <summary>The narrowest heads that the backend has kernels for, at most <paramref name="wanted"/> where there is a choice.</summary>
    protected int HeadDim(int wanted) => IsCuda ? Math.Max(64, wanted) : wanted;

    /// <summary>So many repetitions; on CUDA so few, since an emulated device is slow.</summary>
    protected int Times(int count, int onCuda) => IsCuda ? onCuda : count;

    [OneTimeSetUp]
    public void CreateBackend() => Backend = backendName switch
    {
        "cpu" => new CpuBackend(new CpuBackendOptions { Threads = 2 }),
        "cpu-portable" => new CpuBackend(new CpuBackendOptions { Threads = 3, Portable = true }),
        TestDevice.Emulated or TestDevice.Gpu => CreateCudaBackend(),
        _ => throw new ArgumentException($"no backend is called {backendName}"),
    };

    [OneTimeTearDown]
    public void DisposeBackend() => Backend?.Dispose();

    [TearDown]
    public void FreeInputs()
    {
        Backend.ResetStep();
        _allocations.ForEach(address => NativeMemory.Free((void*)address));
        _allocations.Clear();
        _deviceAllocations.ForEach(memory => memory.Dispose());
        _deviceAllocations.Clear();
        if (IsCuda && Backend.AvailableBytes < DevicePoolBytes / 2)
        {
            Backend.Dispose();
            Backend = CreateCudaBackend();
        }
    }

    /// <summary>Host memory that lives until the end of the test.</summary>
    protected nint Allocate(ReadOnlySpan<byte> content)
    {
        void* memory = NativeMemory.Alloc((nuint)content.Length);
        content.CopyTo(new Span<byte>(memory, content.Length));
        _allocations.Add((nint)memory);
        return (nint)memory;
    }

    /// <summary>Rows <paramref name="padding"/> elements apart, with NaN between them, in the backend's memory.</summary>
    protected Tensor Upload(ReadOnlySpan<float> values, int rows, int columns, int padding = 0, DType type = DType.F32)
    {
        int stride = columns + padding;
        float[] padded = new float[Math.Max(1, rows * stride)];
        Array.Fill(padded, float.NaN);
        for (int row = 0; row < rows; row++)
        {
            values.Slice(row * columns, columns).CopyTo(padded.AsSpan(row * stride));
        }
        byte[] bytes = new byte[padded.Length * type.Size()];
        if (type == DType.BF16)
        {
            Bf16.Round(padded, bytes);
        }
        else
        {
            MemoryMarshal.AsBytes(padded.AsSpan()).CopyTo(bytes);
        }
        return new Tensor(IsCuda ? AllocateOnDevice(bytes) : Allocate(bytes), rows, columns, stride, type);
    }

    /// <summary>Rows of <see cref="RowType"/> whose starts are aligned as a product's are.</summary>
    protected Tensor UploadRows(ReadOnlySpan<float> values, int rows, int columns, int padding = 0) =>
        Upload(values, rows, columns, IsCuda ? (padding + 7) / 8 * 8 : padding, RowType);

    protected float[] Download(Tensor tensor)
    {
        float[] values = new float[tensor.Rows * tensor.Columns];
        int rowBytes = tensor.Columns * tensor.Type.Size();
        byte[] bytes = new byte[rowBytes];
        for (int row = 0; row < tensor.Rows; row++)
        {
            Read(tensor.Address + (nint)row * tensor.RowStride * tensor.Type.Size(), bytes);
            Span<float> to = values.AsSpan(row * tensor.Columns, tensor.Columns);
            if (tensor.Type == DType.BF16)
            {
                Array.ConvertAll(MemoryMarshal.Cast<byte, ushort>(bytes).ToArray(), Bf16.Widen).CopyTo(to);
            }
            else
            {
                MemoryMarshal.Cast<byte, float>(bytes).CopyTo(to);
            }
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

    /// <summary>The error that the backend may show where F32 arithmetic may show <paramref name="exact"/>: a GPU rounds to BF16.</summary>
    protected double Tolerance(double exact) => IsCuda ? Math.Max(exact, Tolerances.BF16) : exact;

    protected static void AssertClose(float[] actual, double[] expected, double tolerance) =>
        Assert.That(Tolerances.NormalizedMeanSquareError(actual, expected), Is.LessThanOrEqualTo(tolerance));

    /// <summary>Whether the backend has no kernels for such a cache; then it must have said so.</summary>
    protected bool Refuses(KvCacheShape shape)
    {
        bool isRefused = IsCuda
            ? shape.Type == DType.F32 || shape.BlockSize % 16 != 0 || shape.HeadDim < 64
            : shape.Type.ScaleSize() > 0;
        if (isRefused)
        {
            Assert.That(() => Backend.CreateKvCache(shape), Throws.ArgumentException.With.Message.Contains(IsCuda ? "GPU" : "CPU"));
        }
        return isRefused;
    }

    private CudaBackend CreateCudaBackend()
    {
        TestDevice.Require(backendName);
        return new CudaBackend(new CudaBackendOptions { Emulated = backendName == TestDevice.Emulated, PoolBytes = DevicePoolBytes });
    }

    private nint AllocateOnDevice(byte[] content)
    {
        CudaDeviceVariable<byte> memory = new(((CudaBackend)Backend).Runtime.Context, content.Length);
        memory.CopyToDevice(content);
        _deviceAllocations.Add(memory);
        return (nint)memory.Pointer.Address;
    }

    /// <summary>Copies from the backend's memory.</summary>
    protected void Read(nint address, Span<byte> destination)
    {
        fixed (byte* to = destination)
        {
            if (Backend is CudaBackend cuda)
            {
                cuda.Runtime.Stream.CopyToHost(to, new DevicePtr((ulong)address), destination.Length);
                cuda.Runtime.Stream.Synchronize();
            }
            else
            {
                new ReadOnlySpan<byte>((void*)address, destination.Length).CopyTo(destination);
            }
        }
    }
    /// <summary>Copies to the backend's memory.</summary>
    protected void Write(nint address, ReadOnlySpan<byte> source)
    {
        if (Backend is CudaBackend cuda)
        {
            cuda.Runtime.Uploads.Upload(cuda.Runtime.Stream, new DevicePtr((ulong)address), source);
        }
        else
        {
            source.CopyTo(new Span<byte>((void*)address, source.Length));
        }
    }
}
