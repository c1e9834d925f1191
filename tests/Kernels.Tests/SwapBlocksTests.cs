using LlamaServe.Kernels.Cpu;
using LlamaServe.Kernels.Cuda;
using LlamaServe.Kernels.Tests.Cuda;

namespace LlamaServe.Kernels.Tests;

/// <summary>Blocks on their way to the host part of a cache and back, beside arrays of bytes that are copied one after the other.</summary>
[TestFixture("cpu")]
[TestFixture("cpu-portable")]
[TestFixture(TestDevice.Emulated, Category = Toolchain.Emulated)]
[TestFixture(TestDevice.Gpu, Category = Toolchain.Gpu)]
internal sealed class SwapBlocksTests(string backendName) : OpTests(backendName)
{
    private const int Blocks = 5, HostBlocks = 4;

    [Test]
    public void Blocks_come_back_bit_for_bit([Values] DType type)
    {
        KvCacheShape shape = Shape(type);
        if (Refuses(shape))
        {
            return;
        }
        using KvCache cache = Backend.CreateKvCache(shape);
        byte[][] blocks = Fill(cache, new Random(1)), hostBlocks = new byte[HostBlocks][];
        Swap(cache, blocks, hostBlocks, [new(0, 3, true), new(4, 0, true)]);
        blocks[0] = blocks[4] = new byte[blocks[1].Length];
        WriteBlock(cache, 0, blocks[0]);
        WriteBlock(cache, 4, blocks[4]);
        Swap(cache, blocks, hostBlocks, [new(2, 3, false), new(4, 0, false)]);
    }

    [Test]
    public void A_swap_sees_what_those_before_it_in_its_list_have_done()
    {
        using KvCache cache = Backend.CreateKvCache(Shape(CacheType));
        byte[][] blocks = Fill(cache, new Random(2)), hostBlocks = new byte[HostBlocks][];
        Swap(cache, blocks, hostBlocks, [new(0, 0, true), new(1, 1, true), new(2, 2, true), new(3, 3, true)]);
        BlockSwap[][] lists =
        [
            [new(1, 0, false), new(1, 2, true)],
            [new(2, 0, true), new(3, 0, false)],
            [new(0, 1, true), new(4, 1, true)],
            [new(0, 1, false), new(0, 3, false)],
            [new(1, 0, true), new(2, 1, true), new(2, 0, false), new(1, 1, false)],
            [new(3, 2, true), new(4, 2, false), new(4, 2, true), new(4, 3, false), new(4, 0, true)],
        ];
        foreach (BlockSwap[] list in lists)
        {
            Swap(cache, blocks, hostBlocks, list);
        }
        Swap(cache, blocks, hostBlocks, [.. Enumerable.Range(0, HostBlocks).Select(i => new BlockSwap(i, i, false))]);
    }

    [Test]
    public void Lists_of_any_length_leave_all_other_blocks_alone([Values] DType type)
    {
        KvCacheShape shape = Shape(type);
        if (Refuses(shape))
        {
            return;
        }
        using KvCache cache = Backend.CreateKvCache(shape);
        Random random = new(3);
        byte[][] blocks = Fill(cache, random), hostBlocks = new byte[HostBlocks][];
        Swap(cache, blocks, hostBlocks, [.. Enumerable.Range(0, HostBlocks).Select(i => new BlockSwap(i, i, true))]);
        foreach (int length in (int[])[0, 1, 2, 7, 64, 65, 200])
        {
            Swap(cache, blocks, hostBlocks, [.. Enumerable.Range(0, length).Select(
                _ => new BlockSwap(random.Next(Blocks), random.Next(HostBlocks), random.Next(2) == 0))]);
            int refilled = random.Next(Blocks);
            random.NextBytes(blocks[refilled] = new byte[blocks[refilled].Length]);
            WriteBlock(cache, refilled, blocks[refilled]);
        }
        Swap(cache, blocks, hostBlocks, [.. Enumerable.Range(0, HostBlocks).Select(i => new BlockSwap(i + 1, i, false))]);
    }

    [Test]
    public void Attention_does_not_see_that_blocks_were_away([Values] DType type)
    {
        AttentionShape shape = new(4, 2, HeadDim(16), 1 / MathF.Sqrt(HeadDim(16)), 0);
        if (Refuses(new KvCacheShape(1, 1, 16, 2, shape.HeadDim, type)))
        {
            return;
        }
        using PagedSequences away = Sequences(shape, type, hostBlocks: 3), stayed = Sequences(shape, type, hostBlocks: 0);
        int[] table = away.BlockTable(0);
        int unused = Enumerable.Range(0, away.Cache.Shape.Blocks).Except([.. table, .. away.BlockTable(1)]).First();
        Step((0, 40), (1, 20));
        Backend.SwapBlocks(away.Cache, [.. table.Select((block, i) => new BlockSwap(block, i, ToHost: true))]);
        Backend.CopyBlocks(away.Cache, [.. table.Select(block => new BlockCopy(unused, block))]);
        Step((1, 3));
        Backend.SwapBlocks(away.Cache, [.. table.Select((block, i) => new BlockSwap(block, i, ToHost: false))]);
        Step((0, 1), (1, 1));
        Step((0, 7), (1, 6));
        Assert.That(away.Outputs.SelectMany(output => output), Has.None.NaN);
        Assert.That(away.Outputs, Is.EqualTo(stayed.Outputs));

        void Step(params (int, int)[] work)
        {
            away.Step(work);
            stayed.Step(work);
        }
    }

    [Test]
    public void Blocks_that_are_not_there_are_refused_and_nothing_is_copied()
    {
        using KvCache cache = Backend.CreateKvCache(Shape(CacheType)), without = Backend.CreateKvCache(Shape(CacheType) with { HostBlocks = 0 });
        byte[][] blocks = Fill(cache, new Random(4));
        Backend.SwapBlocks(cache, [new(0, 0, true)]);
        Refuses("block 5 ", cache, new(1, 0, false), new(5, 0, true));
        Refuses("block -1 ", cache, new(1, 0, false), new(-1, 0, false));
        Refuses("host block 4 ", cache, new(1, 0, false), new(0, 4, true));
        Refuses("host block -1 ", cache, new(1, 0, false), new(0, -1, false));
        Refuses("1 blocks to swap with a KV cache that has no host blocks", without, new BlockSwap(0, 0, true));
        Assert.That(() => Backend.SwapBlocks(without, []), Throws.Nothing);
        AssertBlocks(cache, blocks);
    }

    [Test]
    public void A_host_part_that_cannot_be_is_refused()
    {
        Assert.That(() => Backend.CreateKvCache(Shape(CacheType) with { HostBlocks = -1 }), Throws.ArgumentException.With.Message.Contains("shape"));
        KvCacheShape large = new(4, 1, 16, 8, 256, CacheType, HostBlocks: int.MaxValue);
        Assert.That(() => Backend.CreateKvCache(large), Throws.ArgumentException.With.Message.Contains("MiB free: lower --kv-host-gb"));
    }

    private KvCacheShape Shape(DType type) => new(Layers: 3, Blocks, BlockSize: 16, KvHeads: 2, HeadDim(16), type, HostBlocks);

    private PagedSequences Sequences(AttentionShape shape, DType type, int hostBlocks) => new(
        Backend, (values, rows, columns) => UploadRows(values, rows, columns), Download, RowType, shape, 16, type, [48, 30], seed: 5, hostBlocks);

    private void Refuses(string message, KvCache cache, params BlockSwap[] swaps) =>
        Assert.That(() => Backend.SwapBlocks(cache, swaps), Throws.ArgumentException.With.Message.StartsWith(message));

    /// <summary>Carries a list out on both sides and compares.</summary>
    private void Swap(KvCache cache, byte[][] blocks, byte[][] hostBlocks, BlockSwap[] swaps)
    {
        Backend.SwapBlocks(cache, swaps);
        foreach (BlockSwap swap in swaps)
        {
            if (swap.ToHost)
            {
                hostBlocks[swap.HostBlock] = blocks[swap.Block];
            }
            else
            {
                blocks[swap.Block] = hostBlocks[swap.HostBlock];
            }
        }
        AssertBlocks(cache, blocks);
    }

    private void AssertBlocks(KvCache cache, byte[][] expected)
    {
        for (int i = 0; i < expected.Length; i++)
        {
            Assert.That(ReadBlock(cache, i).AsSpan().SequenceEqual(expected[i]), $"block {i}");
        }
    }

    /// <returns>What every block holds.</returns>
    private byte[][] Fill(KvCache cache, Random random)
    {
        byte[][] blocks = new byte[cache.Shape.Blocks][];
        for (int i = 0; i < blocks.Length; i++)
        {
            random.NextBytes(blocks[i] = ReadBlock(cache, i));
            WriteBlock(cache, i, blocks[i]);
        }
        return blocks;
    }

    private byte[] ReadBlock(KvCache cache, int block)
    {
        (nint[] addresses, int bytes) = Parts(cache, block);
        byte[] content = new byte[addresses.Length * bytes];
        for (int i = 0; i < addresses.Length; i++)
        {
            Read(addresses[i], content.AsSpan(i * bytes, bytes));
        }
        return content;
    }

    private void WriteBlock(KvCache cache, int block, byte[] content)
    {
        (nint[] addresses, int bytes) = Parts(cache, block);
        for (int i = 0; i < addresses.Length; i++)
        {
            Write(addresses[i], content.AsSpan(i * bytes, bytes));
        }
    }

    /// <summary>Where the parts of a block lie, and the bytes of each.</summary>
    private static unsafe (nint[] Addresses, int Bytes) Parts(KvCache cache, int block) => cache switch
    {
        CpuKvCache own => (
            [.. Enumerable.Range(0, own.Shape.Layers).Select(layer => (nint)(own.Layer(layer) + block * own.BlockBytes))], (int)own.BlockBytes),
        CudaKvCache own => (
            [.. Enumerable.Range(0, own.Regions).Select(region => (nint)(own.Memory + (region * own.RegionBytes + (long)block * own.BlockBytes)).Address)],
            own.BlockBytes),
        _ => throw new ArgumentException($"a cache of {cache.GetType()}"),
    };
}
