using LlamaServe.Kernels;

namespace LlamaServe.Engine.KvCache;

/// <summary>
/// What of the prefix cache lies in host memory: content whose block was reused moves to a host block, and comes back when a
/// prefix that leads to it is asked for. What came back stays here too, so that it need not be written again when its block is
/// reused once more. Pure accounting, like all of this: the copies are a list that the next step makes.
/// <code>
/// device block reused        Keep   -> swap (block, host block, to host)     unless the content is here already
/// prefix asked for           Fetch  -> swap (block, host block, to device)
/// full                       the content that was kept or fetched longest ago is forgotten
/// </code>
/// </summary>
internal sealed class HostTier
{
    private readonly PrefixCache _content;
    private readonly BlockPool _order;
    private readonly EngineCounters _counters;

    /// <param name="blocks">Blocks in host memory, at least 1.</param>
    public HostTier(int blocks, EngineCounters counters)
    {
        _content = new PrefixCache(blocks);
        _order = new BlockPool(blocks);
        _counters = counters;
    }

    public int BlockCount => _order.Count;

    /// <summary>Host blocks with content.</summary>
    public int UsedBlocks => _content.Count;

    /// <summary>
    /// Swaps that the next step makes before its copies, in order. Whoever makes them takes them out: until then they outlive the
    /// plans, as the prefix cache counts on them even where the step that was planned never runs.
    /// </summary>
    public List<BlockSwap> Swaps { get; } = [];

    /// <summary>Keeps the content of a device block that is about to be reused, in place of the one used longest ago.</summary>
    public void Keep(int block, BlockHash hash)
    {
        int hostBlock = _content.Find(hash);
        if (hostBlock >= 0)
        {
            _order.Share(hostBlock);
            _order.Release(hostBlock, keep: true);
            return;
        }
        // All are pinned by the prefix that is being fetched.
        if (_order.FreeCount == 0)
        {
            return;
        }
        hostBlock = _order.Take();
        _content.Remove(hostBlock);
        _content.Add(hostBlock, hash);
        _order.Release(hostBlock, keep: true);
        Swaps.Add(new BlockSwap(block, hostBlock, ToHost: true));
        _counters.BlocksSwappedOut++;
    }

    /// <summary>Copies content that is pinned to a device block.</summary>
    public void Fetch(BlockHash hash, int block)
    {
        Swaps.Add(new BlockSwap(block, _content.Find(hash), ToHost: false));
        _counters.BlocksSwappedIn++;
    }

    /// <summary>Keeps content from being forgotten until <see cref="Unpin"/>.</summary>
    /// <returns>Whether it is here.</returns>
    public bool TryPin(BlockHash hash)
    {
        int hostBlock = _content.Find(hash);
        if (hostBlock < 0)
        {
            return false;
        }
        _order.Share(hostBlock);
        return true;
    }

    /// <summary>Takes <see cref="TryPin"/> back: the content is now the one used last.</summary>
    public void Unpin(BlockHash hash)
    {
        int hostBlock = _content.Find(hash);
        if (hostBlock >= 0 && _order.References(hostBlock) > 0)
        {
            _order.Release(hostBlock, keep: true);
        }
    }

    /// <exception cref="InvalidOperationException">Hashes and host blocks are not one to one, or a host block is lost to the order of reuse.</exception>
    public void CheckIntegrity()
    {
        _content.CheckIntegrity();
        _order.CheckIntegrity(new int[_order.Count]);
    }
}
