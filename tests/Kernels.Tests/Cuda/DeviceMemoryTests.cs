using System.Security.Cryptography;
using LlamaServe.Kernels.Cuda.Driver;
using LlamaServe.Kernels.Cuda.Memory;

namespace LlamaServe.Kernels.Tests.Cuda;

[TestFixture(TestDevice.Emulated, Category = Toolchain.Emulated)]
[TestFixture(TestDevice.Gpu, Category = Toolchain.Gpu)]
public sealed class DeviceMemoryTests(string kind)
{
    private CudaContext _context = null!;

    [SetUp]
    public void RequireDevice() => _context = TestDevice.Require(kind).Context;

    [Test]
    public void A_pool_hands_out_aligned_pieces_that_do_not_overlap()
    {
        using DevicePool pool = new(_context, 4096);
        DevicePtr first = pool.Take(1), second = pool.Take(257), third = pool.Take(0), fourth = pool.Take(DevicePool.Alignment);
        Assert.That(first.Address % DevicePool.Alignment, Is.Zero);
        Assert.That(second, Is.EqualTo(first + 256));
        Assert.That(third, Is.EqualTo(first + 768));
        Assert.That(fourth, Is.EqualTo(first + 768));
        Assert.That(pool.AvailableBytes, Is.EqualTo(4096 - 1024));
    }

    [Test]
    public void An_exhausted_pool_says_what_is_missing_and_goes_on()
    {
        using DevicePool pool = new(_context, 2 << 20);
        Assert.That(() => pool.Take(3 << 20), Throws.TypeOf<CudaUnavailableException>()
            .With.Message.EndsWith("has too little memory: 3 MiB more are needed, 2 MiB are left."));
        pool.Take(2 << 20);
        Assert.That(() => pool.Take(1), Throws.TypeOf<CudaUnavailableException>());
    }

    [Test]
    public void A_pool_that_does_not_fit_the_device_says_so() => Assert.That(
        () => new DevicePool(_context, 1L << 50),
        Throws.TypeOf<CudaUnavailableException>().With.Message.Contains("too little free memory: 1073741824 MiB are needed"));

    [Test]
    public void A_pool_is_given_back_as_a_whole()
    {
        long free = _context.FreeBytes();
        using (DevicePool pool = new(_context, 64 << 20))
        {
            pool.Take(1 << 20);
            Assert.That(_context.FreeBytes(), Is.LessThanOrEqualTo(free - (64 << 20)));
        }
        Assert.That(_context.FreeBytes(), Is.EqualTo(free));
    }

    [Test]
    public void The_largest_pool_leaves_the_reserve()
    {
        long free = _context.FreeBytes();
        Assert.That(DevicePool.LargestByteLength(_context, 1 << 20), Is.EqualTo(free - (1 << 20)));
        Assert.That(() => DevicePool.LargestByteLength(_context, free), Throws.TypeOf<CudaUnavailableException>());
    }

    [TestCase(0)]
    [TestCase(1)]
    [TestCase(4096)]
    [TestCase(100_001)]
    public void An_upload_of_any_size_arrives_and_leaves_its_source_free(int bytes)
    {
        byte[] data = RandomNumberGenerator.GetBytes(bytes), source = [.. data], back = new byte[bytes];
        using CudaStream stream = new(_context);
        using CudaDeviceVariable<byte> memory = new(_context, bytes + 1);
        using UploadRing ring = new(_context, chunks: 3, chunkBytes: 4096);
        ring.Upload(stream, memory.Pointer, source);
        source.AsSpan().Clear();
        stream.Synchronize();
        memory.CopyToHost(back);
        Assert.That(back, Is.EqualTo(data));
    }

    [Test]
    public void Uploads_one_after_the_other_arrive_whole()
    {
        const int Uploads = 200;
        byte[] data = RandomNumberGenerator.GetBytes(Uploads * Uploads), back = new byte[data.Length];
        using CudaStream stream = new(_context);
        using CudaDeviceVariable<byte> memory = new(_context, data.Length);
        using UploadRing ring = new(_context, chunks: 2, chunkBytes: 512);
        for (int i = 0; i < Uploads; i++)
        {
            ring.Upload(stream, memory.Pointer + i * Uploads, data.AsSpan(i * Uploads, Uploads));
        }
        stream.Synchronize();
        memory.CopyToHost(back);
        Assert.That(back, Is.EqualTo(data));
    }
}
