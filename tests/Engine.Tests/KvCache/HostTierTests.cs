using LlamaServe.Engine.KvCache;
using LlamaServe.Engine.Scheduling;
using LlamaServe.Kernels;

namespace LlamaServe.Engine.Tests.KvCache;

/// <summary>What moves to host memory and back, swap by swap, with blocks of 4 tokens.</summary>
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public class HostTierTests
{
    private const int BlockSize = 4;

    private readonly List<BlockCopy> _copies = [];
    private readonly EngineCounters _counters = new();
    private readonly BlockHasher _hasher = new(new byte[16]);

    [Test]
    public void What_a_reused_block_held_comes_back_and_is_not_written_twice()
    {
        KvCacheManager blocks = Blocks(2, hostBlocks: 8);
        Compute(blocks, Prompt(1, 9), tokens: 8);
        Assert.That(blocks.Host!.Swaps, Is.Empty, "blocks without content were free");
        Compute(blocks, Prompt(2, 9), tokens: 8);
        Assert.That(Take(blocks), Is.EqualTo(new[] { Out(1, 0), Out(0, 1) }), "last block first");

        Sequence back = Sequence(Prompt(1, 9));
        Assert.That(blocks.AttachPrefix(back), Is.Zero);
        Assert.That(blocks.FetchPrefix(back, _copies), Is.EqualTo(8));
        Assert.That(Take(blocks), Is.EqualTo(new[] { Out(0, 2), In(0, 1), Out(1, 3), In(1, 0) }), "each block is saved before it is overwritten");
        Assert.That(back.ComputedCount, Is.EqualTo(8));
        blocks.Free(back);

        Compute(blocks, Prompt(3, 9), tokens: 8);
        Assert.That(Take(blocks), Is.Empty, "what came back is still there");
        Assert.That((_counters.BlocksSwappedOut, _counters.BlocksSwappedIn), Is.EqualTo((4L, 2L)));
        Assert.That(blocks.Host.UsedBlocks, Is.EqualTo(4));
        blocks.CheckIntegrity([]);
    }

    [Test]
    public void What_came_back_is_shared_at_once()
    {
        KvCacheManager blocks = Blocks(4, hostBlocks: 8);
        Compute(blocks, Prompt(1, 9), tokens: 8);
        Compute(blocks, Prompt(2, 17), tokens: 16);
        Take(blocks);
        Sequence first = Sequence(Prompt(1, 9));
        Sequence second = Sequence(Prompt(1, 9));
        blocks.FetchPrefix(first, _copies);
        Assert.That(blocks.AttachPrefix(second), Is.EqualTo(8));
        Assert.That(second.BlockTable.ToArray(), Is.EqualTo(first.BlockTable.ToArray()));
        Assert.That(_counters.BlocksSwappedIn, Is.EqualTo(2));
        blocks.CheckIntegrity([first, second]);
    }

    [Test]
    public void A_full_tier_forgets_what_was_kept_longest_ago_and_the_end_of_a_prefix_before_its_beginning()
    {
        KvCacheManager blocks = Blocks(2, hostBlocks: 3);
        Compute(blocks, Prompt(1, 9), tokens: 8);
        Compute(blocks, Prompt(2, 9), tokens: 8);
        Compute(blocks, Prompt(3, 9), tokens: 8);
        Take(blocks);
        Assert.That(Fetch(blocks, Prompt(1, 9)), Is.EqualTo(4));
        Assert.That(blocks.Host!.UsedBlocks, Is.EqualTo(3));
        blocks.CheckIntegrity([]);
    }

    [Test]
    public void A_prefix_that_comes_back_is_not_pushed_out_by_what_it_pushes_out()
    {
        KvCacheManager blocks = Blocks(2, hostBlocks: 2);
        Compute(blocks, Prompt(1, 9), tokens: 8);
        Compute(blocks, Prompt(2, 9), tokens: 8);
        Take(blocks);
        Assert.That(Fetch(blocks, Prompt(1, 9)), Is.EqualTo(8));
        Assert.That(Take(blocks), Is.EqualTo(new[] { In(0, 1), In(1, 0) }), "there is no room for what the blocks held");
        blocks.CheckIntegrity([]);
    }

    [Test]
    public void A_block_of_a_planned_copy_is_not_swapped_into()
    {
        KvCacheManager blocks = Blocks(2, hostBlocks: 8);
        Compute(blocks, Prompt(1, 9), tokens: 8);
        Compute(blocks, Prompt(2, 9), tokens: 8);
        _copies.Add(new BlockCopy(1, 0));
        Assert.That(Fetch(blocks, Prompt(1, 9)), Is.Zero, "the copy is made after the swaps");
        _copies.Clear();
        Assert.That(Fetch(blocks, Prompt(1, 9)), Is.EqualTo(8));
        blocks.CheckIntegrity([]);
    }

    [Test]
    public void The_last_known_token_is_left_to_compute()
    {
        KvCacheManager blocks = Blocks(2, hostBlocks: 8);
        Compute(blocks, Prompt(1, 9), tokens: 8);
        Compute(blocks, Prompt(2, 9), tokens: 8);
        Assert.That(Fetch(blocks, Prompt(1, 8)), Is.EqualTo(4));
    }

    [Test]
    public void Tenants_do_not_find_each_others_content()
    {
        KvCacheManager blocks = Blocks(2, hostBlocks: 8);
        Compute(blocks, Prompt(1, 9), tokens: 8);
        Compute(blocks, Prompt(2, 9), tokens: 8);
        var other = new Sequence(new SequenceSpec(Prompt(1, 9), 20, Tenant: "other", Root: _hasher.Root("other", "")));
        Assert.That(blocks.FetchPrefix(other, _copies), Is.Zero);
    }

    private static BlockSwap Out(int block, int hostBlock) => new(block, hostBlock, ToHost: true);

    private static BlockSwap In(int block, int hostBlock) => new(block, hostBlock, ToHost: false);

    private static int[] Prompt(int seed, int length) => [.. Enumerable.Range(seed * 1000, length)];

    /// <summary>The swaps so far, as if a step had made them.</summary>
    private static BlockSwap[] Take(KvCacheManager blocks)
    {
        BlockSwap[] swaps = [.. blocks.Host!.Swaps];
        blocks.Host.Swaps.Clear();
        return swaps;
    }

    private KvCacheManager Blocks(int blocks, int hostBlocks) => new(blocks, BlockSize, prefixCaching: true, _hasher, new HostTier(hostBlocks, _counters));

    private Sequence Sequence(int[] prompt) => new(new SequenceSpec(prompt, prompt.Length + 1, Root: _hasher.Root("", "")));

    /// <summary>Computes the first tokens of a prompt and lets go of them.</summary>
    private void Compute(KvCacheManager blocks, int[] prompt, int tokens)
    {
        Sequence sequence = Sequence(prompt);
        Assert.That(blocks.TryAllocate(sequence, tokens, _copies), Is.True);
        sequence.ComputedCount = tokens;
        blocks.Commit(sequence, tokens);
        blocks.Free(sequence);
    }

    /// <summary>Tokens of a prompt that come back from host memory.</summary>
    private int Fetch(KvCacheManager blocks, int[] prompt)
    {
        Sequence sequence = Sequence(prompt);
        blocks.AttachPrefix(sequence);
        int fetched = blocks.FetchPrefix(sequence, _copies);
        blocks.Free(sequence);
        return fetched;
    }
}
