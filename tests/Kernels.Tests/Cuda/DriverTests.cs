using System.Runtime.InteropServices;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Tests.Cuda;

/// <summary>The binding's objects on a driver: memory, streams, events, modules.</summary>
[TestFixture(TestDevice.Emulated, Category = Toolchain.Emulated)]
[TestFixture(TestDevice.Gpu, Category = Toolchain.Gpu)]
public sealed unsafe class DriverTests(string kind)
{
    private CudaContext _context = null!;
    private TestDevice _device = null!;

    [SetUp]
    public void RequireDevice()
    {
        _device = TestDevice.Require(kind);
        _context = _device.Context;
    }

    [Test]
    public void A_device_is_described()
    {
        CudaDevice device = _context.Device;
        Assert.That(device.Name, Is.Not.Empty);
        Assert.That(device.Major, Is.GreaterThanOrEqualTo(8));
        Assert.That(device.MultiprocessorCount, Is.Positive);
        Assert.That(device.SharedBytesPerBlock, Is.InRange(96 << 10, device.SharedBytesPerMultiprocessor));
        Assert.That(device.L2Bytes, Is.Positive);
        Assert.That(_context.FreeBytes(), Is.InRange(1, device.TotalBytes));
    }

    [Test]
    public void A_device_that_is_not_there_is_named()
    {
        int count = CudaDevice.Count(_device.Platform.Driver);
        Assert.That(
            () => CudaDevice.Get(_device.Platform.Driver, count),
            Throws.TypeOf<CudaUnavailableException>().With.Message.StartsWith($"There is no cuda:{count}: this machine has {count} GPU"));
    }

    [Test]
    public void Memory_comes_back_as_it_was_stored()
    {
        int[] values = [.. Enumerable.Range(-500, 1000)], back = new int[1000];
        using CudaDeviceVariable<int> memory = new(_context, 1000);
        memory.CopyToDevice(values);
        memory.CopyToHost(back);
        Assert.That(back, Is.EqualTo(values));
        Assert.That(() => memory.CopyToHost(new int[1001]), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => memory.CopyToDevice(new int[1001]), Throws.TypeOf<ArgumentOutOfRangeException>());
    }

    [Test]
    public void A_stream_fills_and_copies_in_order()
    {
        const int Count = 4096;
        using CudaStream stream = new(_context);
        using CudaDeviceVariable<uint> first = new(_context, Count), second = new(_context, Count);
        using CudaPageLockedHostMemory host = new(_context, Count * sizeof(uint));
        stream.Fill(first.Pointer, 0x01020304u, Count);
        stream.Fill(first.Pointer + 8, (byte)0xff, 3);
        stream.CopyOnDevice(second.Pointer, first.Pointer, first.ByteLength);
        stream.CopyToHost((void*)host.Handle, second.Pointer, second.ByteLength);
        stream.Synchronize();
        Assert.That(host.Span[..12].ToArray(), Is.EqualTo(new byte[] { 4, 3, 2, 1, 4, 3, 2, 1, 255, 255, 255, 1 }));
        host.Span.Fill(7);
        stream.CopyToDevice(first.Pointer, (void*)host.Handle, first.ByteLength);
        stream.Synchronize();
        Assert.That(stream.IsCompleted);
        uint[] back = new uint[Count];
        first.CopyToHost(back);
        Assert.That(back, Is.All.EqualTo(0x07070707u));
    }

    [Test]
    public void Kernels_read_and_write_page_locked_memory_where_the_host_does()
    {
        const int Count = 100;
        using CudaStream stream = new(_context);
        using CudaPageLockedHostMemory host = new(_context, Count * sizeof(uint));
        Span<uint> words = MemoryMarshal.Cast<byte, uint>(host.Span);
        for (int i = 0; i < Count; i++)
        {
            words[i] = (uint)i;
        }
        _device.Kernels.GetKernel("reverse").Launch(stream, new LaunchShape(1, 256, Count * sizeof(uint)), host.Pointer, Count);
        stream.Synchronize();
        Assert.That(words.ToArray(), Is.EqualTo(Enumerable.Range(0, Count).Select(i => (uint)(Count - 1 - i))));
    }

    [Test]
    public void Events_mark_and_time_work()
    {
        using CudaStream stream = new(_context), other = new(_context);
        using CudaDeviceVariable<byte> memory = new(_context, 1 << 20);
        using CudaEvent start = new(_context, timing: true), end = new(_context, timing: true);
        start.Record(stream);
        stream.Fill(memory.Pointer, (byte)1, memory.Length);
        end.Record(stream);
        other.WaitEvent(end);
        stream.Fill(memory.Pointer, (byte)2, 0);
        other.Fill(memory.Pointer, (byte)3, 1);
        end.Synchronize();
        other.Synchronize();
        Assert.That(end.IsCompleted);
        Assert.That(CudaEvent.ElapsedMilliseconds(start, end), Is.GreaterThanOrEqualTo(0));
        byte[] back = new byte[2];
        memory.CopyToHost(back);
        Assert.That(back, Is.EqualTo(new byte[] { 3, 1 }));
    }

    [Test]
    public void Too_large_an_allocation_fails_and_nothing_else_does()
    {
        CudaException exception = Assert.Throws<CudaException>(() => new CudaDeviceVariable<byte>(_context, 1L << 50))!;
        Assert.That(exception.Message, Does.StartWith("cuMemAlloc failed: CUDA_ERROR_OUT_OF_MEMORY"));
        Assert.That(exception.IsLost, Is.False);
        using CudaDeviceVariable<byte> memory = new(_context, 1);
    }

    [Test]
    public void Objects_keep_their_context_until_the_last_is_disposed()
    {
        CudaContext context = new(_device.Platform.Driver, _context.Device);
        using CudaDeviceVariable<int> memory = new(context, 1);
        context.Dispose();
        int[] back = new int[1];
        memory.CopyToDevice([5]);
        memory.CopyToHost(back);
        Assert.That(back, Is.EqualTo(new[] { 5 }));
        memory.Dispose();
        Assert.That(() => memory.Pointer, Throws.TypeOf<ObjectDisposedException>());
    }

    [Test]
    public void An_image_of_another_kind_and_a_missing_kernel_are_refused()
    {
        CudaException exception = Assert.Throws<CudaException>(() => new CudaModule(_context, "no image of any kind, long enough to be read"u8))!;
        Assert.That(exception.EntryPoint, Is.EqualTo("cuModuleLoadData"));
        exception = Assert.Throws<CudaException>(() => _device.Kernels.GetKernel("nothing"))!;
        Assert.That(exception.Message, Does.StartWith("cuModuleGetFunction failed: CUDA_ERROR_NOT_FOUND"));
        Assert.That(exception.IsLost, Is.False);
    }
}
