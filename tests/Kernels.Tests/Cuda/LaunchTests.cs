using System.Runtime.InteropServices;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Tests.Cuda;

/// <summary>What arrives in a kernel: arguments, positions, shared memory; and captured launches.</summary>
[TestFixture(TestDevice.Emulated, Category = Toolchain.Emulated)]
[TestFixture(TestDevice.Gpu, Category = Toolchain.Gpu)]
public sealed unsafe class LaunchTests(string kind)
{
    private TestDevice _device = null!;
    private CudaStream _stream = null!;

    [SetUp]
    public void CreateStream()
    {
        _device = TestDevice.Require(kind);
        _stream = new CudaStream(_device.Context);
    }

    [TearDown]
    public void DisposeStream() => _stream?.Dispose();

    [Test]
    public void Arguments_of_every_size_arrive()
    {
        using CudaDeviceVariable<ulong> results = new(_device.Context, 8);
        Triple triple = new() { First = 0xfedc, Second = 0x89abcdef, Third = 0x0123456789abcdef };
        Kernel("store_arguments").Launch(
            _stream, new LaunchShape(1, 32), results.Pointer, -2, 0xffffffffu, long.MinValue, ulong.MaxValue, 1.5f, KernelArgument.Struct(&triple));
        Assert.That(Read(results), Is.EqualTo(new[]
        {
            0xfffffffffffffffeUL, 0xffffffffUL, 0x8000000000000000UL, ulong.MaxValue, 0x3fc00000UL, 0xfedcUL, 0x89abcdefUL, 0x0123456789abcdefUL,
        }));
    }

    [Test]
    public void A_grid_has_three_dimensions()
    {
        using CudaDeviceVariable<uint> results = new(_device.Context, 24);
        Kernel("store_position").Launch(_stream, new LaunchShape(new Dim3(2, 3, 4), 64), results.Pointer);
        Assert.That(Read(results), Is.EqualTo(
            from z in Enumerable.Range(0, 4)
            from y in Enumerable.Range(0, 3)
            from x in Enumerable.Range(0, 2)
            select (uint)(63 + (100 * x) + (10000 * y) + (1000000 * z))));
    }

    [TestCase(100)]
    [TestCase(20_000)]
    public void Shared_memory_may_exceed_what_is_given_by_default(int count)
    {
        using CudaDeviceVariable<uint> data = new(_device.Context, count);
        data.CopyToDevice([.. Enumerable.Range(0, count).Select(i => (uint)i)]);
        CudaKernel kernel = Kernel("reverse");
        kernel.Launch(_stream, new LaunchShape(1, 256, count * sizeof(uint)), data.Pointer, count);
        Assert.That(Read(data), Is.EqualTo(Enumerable.Range(0, count).Select(i => (uint)(count - 1 - i))));
        Assert.That(kernel.BlocksPerMultiprocessor(256, count * sizeof(uint)), Is.Positive);
    }

    [Test]
    public void More_shared_memory_than_the_device_has_is_refused()
    {
        using CudaDeviceVariable<uint> data = new(_device.Context, 1);
        int bytes = _device.Context.Device.SharedBytesPerBlock + 1;
        CudaException exception = Assert.Throws<CudaException>(() => Kernel("reverse").Launch(_stream, new LaunchShape(1, 256, bytes), data.Pointer, 1))!;
        Assert.That(exception.EntryPoint, Is.EqualTo("cuFuncSetAttribute"));
        Assert.That(exception.IsLost, Is.False);
    }

    [Test]
    public void More_threads_than_the_kernel_is_compiled_for_are_refused()
    {
        CudaKernel kernel = Kernel("increment");
        Assert.That(kernel.MaxThreadsPerBlock, Is.EqualTo(32));
        using CudaDeviceVariable<uint> counter = new(_device.Context, 1);
        CudaException exception = Assert.Throws<CudaException>(() => kernel.Launch(_stream, new LaunchShape(1, 64), counter.Pointer))!;
        Assert.That(exception.EntryPoint, Is.EqualTo("cuLaunchKernelEx"));
        Assert.That(exception.IsLost, Is.False);
    }

    [Test]
    public void A_launch_allocates_nothing_on_the_managed_heap()
    {
        CudaKernel kernel = Kernel("increment");
        using CudaDeviceVariable<uint> counter = new(_device.Context, 1);
        counter.CopyToDevice([0]);
        LaunchShape shape = new(1, 32, Programmatic: _device.Context.Device.Major >= 9);
        kernel.Launch(_stream, shape, counter.Pointer);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 50; i++)
        {
            kernel.Launch(_stream, shape, counter.Pointer);
        }
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.Zero);
        Assert.That(Read(counter), Is.EqualTo(new[] { 51u }));
    }

    [Test]
    public void A_captured_graph_runs_when_launched_and_only_then()
    {
        CudaKernel kernel = Kernel("increment");
        using CudaDeviceVariable<uint> counters = new(_device.Context, 2);
        counters.CopyToDevice([10, 20]);
        _stream.BeginCapture();
        kernel.Launch(_stream, new LaunchShape(3, 32), counters.Pointer);
        _stream.CopyOnDevice(counters.Pointer + sizeof(uint), counters.Pointer, sizeof(uint));
        CudaGraph graph = _stream.EndCapture();
        Assert.That(Read(counters), Is.EqualTo(new[] { 10u, 20u }), "captured work has run");
        using CudaGraphExec executable = new(graph);
        graph.Dispose();
        executable.Launch(_stream);
        Assert.That(Read(counters), Is.EqualTo(new[] { 13u, 13u }));
        executable.Launch(_stream);
        executable.Launch(_stream);
        kernel.Launch(_stream, new LaunchShape(1, 32), counters.Pointer);
        Assert.That(Read(counters), Is.EqualTo(new[] { 20u, 19u }));
    }

    [Test]
    public void Another_stream_joins_a_capture_through_events()
    {
        CudaKernel kernel = Kernel("increment");
        using CudaStream side = new(_device.Context);
        using CudaEvent fork = new(_device.Context), join = new(_device.Context);
        using CudaDeviceVariable<uint> counters = new(_device.Context, 2);
        counters.CopyToDevice([0, 0]);
        _stream.BeginCapture();
        fork.Record(_stream);
        side.WaitEvent(fork);
        kernel.Launch(side, new LaunchShape(1, 32), counters.Pointer);
        join.Record(side);
        kernel.Launch(_stream, new LaunchShape(2, 32), counters.Pointer + sizeof(uint));
        _stream.WaitEvent(join);
        using CudaGraph graph = _stream.EndCapture();
        using CudaGraphExec executable = new(graph);
        Assert.That(Read(counters), Is.EqualTo(new[] { 0u, 0u }));
        executable.Launch(_stream);
        Assert.That(Read(counters), Is.EqualTo(new[] { 1u, 2u }));
    }

    private CudaKernel Kernel(string name) => _device.Kernels.GetKernel(name);

    private T[] Read<T>(CudaDeviceVariable<T> memory)
        where T : unmanaged
    {
        _stream.Synchronize();
        T[] values = new T[memory.Length];
        memory.CopyToHost(values);
        return values;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Triple
    {
        public ushort First;
        public uint Second;
        public ulong Third;
    }
}
