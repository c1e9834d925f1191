using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Tests.Cuda;

/// <summary>Faults planted in kernels, which the emulator has to find, beside the same kernels without them.</summary>
[Category(Toolchain.Emulated)]
public sealed class EmulatorFaultTests
{
    private const int SharedBytes = 4096, Seeds = 20;

    private EmulatedUnit _unit = null!;

    [OneTimeSetUp]
    public void Load() => _unit = new EmulatedUnit("faults.cu");

    [OneTimeTearDown]
    public void Dispose() => _unit?.Dispose();

    [TestCase(68, CUResult.Success, "")]
    [TestCase(69, CUResult.IllegalAddress, "byte 400 of allocation")]
    [TestCase(-1, CUResult.IllegalAddress, "global write of 4 bytes")]
    [TestCase(1 << 28, CUResult.IllegalAddress, "global write of 4 bytes")]
    public void A_write_has_to_lie_in_an_allocation(int index, object result, string explanation)
    {
        using CudaDeviceVariable<uint> memory = _unit.Allocate<uint>(100);
        Expect("write_at", 32, result, explanation, memory.Pointer, index);
    }

    [TestCase(68, CUResult.Success, "")]
    [TestCase(69, CUResult.IllegalAddress, "byte 400 of page-locked allocation")]
    [TestCase(-1, CUResult.IllegalAddress, "global write of 4 bytes")]
    public void A_write_to_the_host_has_to_lie_in_page_locked_memory(int index, object result, string explanation)
    {
        using CudaPageLockedHostMemory memory = _unit.AllocateHost(400);
        Expect("write_at", 32, result, explanation, memory.Pointer, index);
        if (explanation.Length == 0)
        {
            Assert.That(memory.Span[396..].ToArray(), Is.EqualTo(new byte[] { 1, 0, 0, 0 }), "the last word");
        }
    }

    [Test]
    public unsafe void Other_memory_of_the_host_is_out_of_reach()
    {
        uint[] memory = new uint[32];
        fixed (uint* address = memory)
        {
            Expect("write_at", 32, CUResult.IllegalAddress, "global write of 4 bytes", new DevicePtr((ulong)address), 0);
        }
        CudaPageLockedHostMemory freed = _unit.AllocateHost(400);
        DevicePtr before = freed.Pointer;
        freed.Dispose();
        Expect("write_at", 32, CUResult.IllegalAddress, "global write of 4 bytes", before, 0);
    }

    [Test]
    public void A_null_pointer_is_followed_nowhere() => Expect("write_at", 32, CUResult.IllegalAddress, "at 0x", new DevicePtr(0), 0);

    [Test]
    public void Freed_memory_is_no_memory()
    {
        CudaDeviceVariable<uint> memory = _unit.Allocate<uint>(100);
        DevicePtr address = memory.Pointer;
        memory.Dispose();
        Expect("write_at", 32, CUResult.IllegalAddress, "global write", address, 0);
    }

    [TestCase(80, CUResult.Success, "")]
    [TestCase(96, CUResult.IllegalAddress, "global read of 16 bytes")]
    [TestCase(8, CUResult.MisalignedAddress, "not a multiple of 16")]
    public void A_vector_has_to_be_aligned_and_whole(int offset, object result, string explanation)
    {
        using CudaDeviceVariable<byte> memory = _unit.Allocate<byte>(100);
        using CudaDeviceVariable<byte> results = _unit.Allocate<byte>(512);
        Expect("read_vector_at", 32, result, explanation, memory.Pointer, offset, results.Pointer);
    }

    [TestCase(SharedBytes - 4, CUResult.Success, "")]
    [TestCase(SharedBytes, CUResult.IllegalAddress, "shared address 0x1400")]
    [TestCase(-4, CUResult.IllegalAddress, "shared address 0x3fc")]
    [TestCase(2, CUResult.MisalignedAddress, "not a multiple of 4")]
    public void Shared_memory_has_bounds_too(int offset, object result, string explanation)
    {
        using CudaDeviceVariable<uint> results = _unit.Allocate<uint>(1);
        Expect("shared_at_offset", 32, result, explanation, offset, results.Pointer);
    }

    [TestCase("divergent_barrier", "divergent barrier")]
    [TestCase("barrier_of_some", "deadlock")]
    public void A_barrier_is_for_all_its_threads(string kernel, string explanation)
    {
        using CudaDeviceVariable<uint> results = _unit.Allocate<uint>(64);
        Expect(kernel, 64, CUResult.LaunchFailed, explanation, results.Pointer);
    }

    [TestCase(0xffffu, CUResult.Success, "")]
    [TestCase(0xffffffffu, CUResult.LaunchFailed, "")]
    [TestCase(0xff00u, CUResult.IllegalInstruction, "lacks the calling lane")]
    public void A_mask_names_the_lanes_that_come(uint mask, object result, string explanation)
    {
        using CudaDeviceVariable<uint> results = _unit.Allocate<uint>(32);
        Expect("wrong_mask", 32, result, explanation, results.Pointer, mask);
    }

    [Test]
    public void Lanes_of_a_collective_come_to_the_same_place()
    {
        using CudaDeviceVariable<uint> results = _unit.Allocate<uint>(32);
        Expect("diverged_collectives", 32, CUResult.LaunchFailed, "the warp diverged", results.Pointer);
    }

    [TestCase("exchange_with_barrier", 0)]
    [TestCase("exchange_without_barrier", 1)]
    public void A_missing_barrier_changes_results(string kernel, int leastWrong)
    {
        uint[] expected = [.. Enumerable.Range(0, 128).Select(i => (uint)(127 - i))];
        using CudaDeviceVariable<uint> results = _unit.Allocate<uint>(128);
        CountWrong(leastWrong, () => _unit.Run(kernel, new LaunchShape(1, 128, SharedBytes), results.Pointer), () => results.Download().SequenceEqual(expected));
    }

    [TestCase("copy_and_wait", 0)]
    [TestCase("copy_without_wait", 1)]
    public void A_missing_wait_for_a_copy_changes_results(string kernel, int leastWrong)
    {
        uint[] values = [.. Enumerable.Range(0, 128).Select(i => (uint)i)];
        using CudaDeviceVariable<uint> source = _unit.Upload<uint>(values), results = _unit.Allocate<uint>(128);
        CountWrong(leastWrong, () => _unit.Run(kernel, new LaunchShape(1, 32, SharedBytes), source.Pointer, results.Pointer), () => results.Download().SequenceEqual(values));
    }

    [Test]
    public void A_seed_repeats_a_failure()
    {
        using CudaDeviceVariable<uint> results = _unit.Allocate<uint>(64);
        _unit.SetSeed(11);
        string first = _unit.RunFaulty("divergent_barrier", new LaunchShape(1, 64), results.Pointer).Explanation;
        Assert.That(first, Does.Contain("seed 11 ").And.Contain("faults.cu:").And.Contain("kernel divergent_barrier, block (0,0,0), thread ("));
        Assert.That(_unit.RunFaulty("divergent_barrier", new LaunchShape(1, 64), results.Pointer).Explanation, Is.EqualTo(first));
        _unit.SetSeed(0);
    }

    [Test]
    public void Fresh_memory_is_poisoned()
    {
        using CudaDeviceVariable<float> memory = _unit.Allocate<float>(1000);
        Assert.That(memory.Download(), Is.All.NaN);
    }

    private void CountWrong(int least, Action run, Func<bool> isRight)
    {
        int wrong = 0;
        for (ulong seed = 1; seed <= Seeds; seed++)
        {
            _unit.SetSeed(seed);
            run();
            wrong += isRight() ? 0 : 1;
        }
        _unit.SetSeed(0);
        Assert.That(wrong, least == 0 ? Is.Zero : Is.GreaterThanOrEqualTo(least));
    }

    private void Expect(string kernel, int threads, object result, string explanation, params ReadOnlySpan<KernelArgument> arguments)
    {
        (CUResult actual, string why) = _unit.RunFaulty(kernel, new LaunchShape(1, threads, SharedBytes), arguments);
        Assert.That(actual, Is.EqualTo(result), why);
        Assert.That(why, Does.Contain(explanation));
    }
}
