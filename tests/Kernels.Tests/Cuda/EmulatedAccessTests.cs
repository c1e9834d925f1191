using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Tests.Cuda;

/// <summary>CTAs that wait for each other, and what the emulator counts of memory accesses.</summary>
[Category(Toolchain.Emulated)]
public sealed class EmulatedAccessTests
{
    private EmulatedUnit _unit = null!;

    [OneTimeSetUp]
    public void Load() => _unit = new EmulatedUnit("access.cu");

    [OneTimeTearDown]
    public void Dispose() => _unit?.Dispose();

    [Test]
    public void Ctas_that_fit_the_device_may_wait_for_each_other([Values(1, 4, 32, 100)] int ctas, [Values(0, 1)] int descending)
    {
        uint expected = 0;
        for (uint turn = 0; turn < ctas; turn++)
        {
            expected = (expected * 3) + turn;
        }
        for (ulong seed = 1; seed <= 5; seed++)
        {
            using CudaDeviceVariable<uint> counter = _unit.Upload<uint>([0]), sum = _unit.Upload<uint>([0]);
            _unit.SetSeed(seed);
            _unit.Run("take_turns", new LaunchShape(ctas, 64), counter.Pointer, sum.Pointer, descending);
            Assert.That(sum.Download()[0], Is.EqualTo(expected));
        }
    }

    [TestCase("take_turns", 1000)]
    [TestCase("wait_for_ever", 2)]
    public void Waiting_for_what_cannot_come_is_a_deadlock(string kernel, int ctas)
    {
        using CudaDeviceVariable<uint> counter = _unit.Upload<uint>([0]), sum = _unit.Upload<uint>([0]);
        // Of 1000 CTAs, 128 fit; with this seed the first one is not among them.
        _unit.SetSeed(1);
        (CUResult result, string explanation) = kernel == "take_turns"
            ? _unit.RunFaulty(kernel, new LaunchShape(ctas, 64), counter.Pointer, sum.Pointer, 0)
            : _unit.RunFaulty(kernel, new LaunchShape(ctas, 64), counter.Pointer);
        Assert.That(result, Is.EqualTo(CUResult.LaunchFailed));
        Assert.That(explanation, Does.Contain("deadlock").And.Contain("poll memory").And.Contain("wait at barrier"));
    }

    [TestCase(32, 32)]
    [TestCase(33, 1)]
    [TestCase(34, 2)]
    [TestCase(36, 4)]
    public void Bank_conflicts_are_counted(int stride, int wavefronts)
    {
        using CudaDeviceVariable<uint> results = _unit.Allocate<uint>(32);
        IReadOnlyList<PlaceAccesses> accesses = _unit.RunRecorded("read_columns", new LaunchShape(1, 32, 36 * 32 * 4), results.Pointer, stride);
        PlaceAccesses read = accesses.Single(place => place.Place.StartsWith("shared read", StringComparison.Ordinal));
        Assert.That((read.Requests, read.Units, read.IdealUnits), Is.EqualTo((1, wavefronts, 1)));
        PlaceAccesses write = accesses.Single(place => place.Place.StartsWith("shared write", StringComparison.Ordinal));
        Assert.That((write.Requests, write.Units, write.IdealUnits), Is.EqualTo((32, 32, 32)));
    }

    [TestCase(1, 4)]
    [TestCase(2, 8)]
    [TestCase(8, 32)]
    public void Sectors_are_counted(int step, int sectors)
    {
        using CudaDeviceVariable<uint> source = _unit.Allocate<uint>(32 * 8), results = _unit.Allocate<uint>(32);
        IReadOnlyList<PlaceAccesses> accesses = _unit.RunRecorded("read_with_step", new LaunchShape(1, 32), source.Pointer, step, results.Pointer);
        PlaceAccesses read = accesses.Single(place => place.Place.StartsWith("global read", StringComparison.Ordinal));
        Assert.That((read.Requests, read.Units, read.IdealUnits), Is.EqualTo((1, sectors, 4)));
    }
}
