using LlamaServe.Kernels.Cpu;

namespace LlamaServe.Kernels.Tests;

internal sealed class PhiloxTests
{
    /// <summary>The known answers that its authors publish with Random123 (kat_vectors, philox4x32 with 10 rounds).</summary>
    [TestCase(0u, 0u, 0u, 0u, 0u, 0u, 0x6627E8D5u, 0xE169C58Du, 0xBC57AC4Cu, 0x9B00DBD8u)]
    [TestCase(~0u, ~0u, ~0u, ~0u, ~0u, ~0u, 0x408F276Du, 0x41C83B0Eu, 0xA20BC7C6u, 0x6D5451FDu)]
    [TestCase(0x243F6A88u, 0x85A308D3u, 0x13198A2Eu, 0x03707344u, 0xA4093822u, 0x299F31D0u, 0xD16CFE09u, 0x94FDCCEBu, 0x5001E420u, 0x24126EA1u)]
    public void Known_answers(uint c0, uint c1, uint c2, uint c3, uint k0, uint k1, uint x0, uint x1, uint x2, uint x3) =>
        Assert.That(Philox.Generate(new(c0, c1, c2, c3), k0, k1), Is.EqualTo(new Philox.Block(x0, x1, x2, x3)));

    [Test]
    public void Uniform_numbers_fill_the_unit_interval_evenly()
    {
        int[] bins = new int[64];
        for (ulong i = 0; i < 64_000; i++)
        {
            bins[(int)(Philox.Uniform(seed: 42, i) * 64)]++;
        }
        // 99.99 % point of χ² with 63 degrees of freedom.
        Assert.That(bins.Sum(count => (count - 1000.0) * (count - 1000.0) / 1000), Is.LessThan(113));
    }

    [Test]
    public void Seed_and_counter_use_all_their_bits()
    {
        double[] draws = [.. Enumerable.Range(0, 64).SelectMany(bit => new[] { Philox.Uniform(1UL << bit, 0), Philox.Uniform(0, 1UL << bit) })];
        Assert.That(draws, Is.Unique.And.All.InRange(0.0, 1.0));
    }
}
