namespace LlamaServe.Engine.KvCache;

/// <summary>Which block holds the content of a hash: one block a hash, one hash a block.</summary>
internal sealed class PrefixCache
{
    private readonly Dictionary<BlockHash, int> _blocks;
    private readonly BlockHash[] _hashes;
    private readonly bool[] _isCached;

    public PrefixCache(int blocks)
    {
        _blocks = new Dictionary<BlockHash, int>(blocks);
        _hashes = new BlockHash[blocks];
        _isCached = new bool[blocks];
    }

    public int Count => _blocks.Count;

    public bool IsCached(int block) => _isCached[block];

    /// <summary>What a cached block holds.</summary>
    public BlockHash Content(int block) => _hashes[block];

    /// <summary>The block with this content, or −1.</summary>
    public int Find(BlockHash hash) => _blocks.TryGetValue(hash, out int block) ? block : -1;

    /// <summary>Remembers a full, computed block, unless another one holds the same content already.</summary>
    public void Add(int block, BlockHash hash)
    {
        if (!_isCached[block] && _blocks.TryAdd(hash, block))
        {
            _hashes[block] = hash;
            _isCached[block] = true;
        }
    }

    /// <summary>Forgets a block whose content is about to change.</summary>
    public void Remove(int block)
    {
        if (_isCached[block])
        {
            _blocks.Remove(_hashes[block]);
            _isCached[block] = false;
        }
    }

    /// <exception cref="InvalidOperationException">Hashes and blocks are not one to one.</exception>
    public void CheckIntegrity()
    {
        int cached = 0;
        for (int block = 0; block < _isCached.Length; block++)
        {
            if (_isCached[block])
            {
                cached++;
                if (Find(_hashes[block]) != block)
                {
                    throw new InvalidOperationException($"block {block} is cached under a hash that leads elsewhere");
                }
            }
        }
        if (cached != _blocks.Count)
        {
            throw new InvalidOperationException($"{_blocks.Count} hashes lead to {cached} cached blocks");
        }
    }
}
