namespace LlamaServe.Kernels;

/// <summary>Memory of a device that an arena hands out.</summary>
/// <param name="Address">Host or device address of the first byte.</param>
/// <param name="Owner">Frees it; null where it is another's to free.</param>
internal sealed record ArenaChunk(nint Address, long ByteLength, IDisposable? Owner);

/// <summary>
/// Memory for the results of one step's operations. Two regions take turns, layer by layer: what one layer returned stays
/// valid through the next, then its region is used again. The same sequence of rents gets the same addresses.
/// </summary>
/// <param name="allocate">Makes a chunk of at least so many bytes; called when the step is larger than any before.</param>
/// <param name="alignment">Of every result, a power of two; chunks have it too.</param>
internal sealed class StepArena(Func<long, ArenaChunk> allocate, int alignment) : IDisposable
{
    private const long MinimumChunkBytes = 1 << 20;

    private readonly Region[] _regions = [new(allocate, alignment), new(allocate, alignment)];
    private int _current;

    /// <summary>Makes room ahead of time: <paramref name="layerBytes"/> and, in a chunk of their own, <paramref name="logitsBytes"/>.</summary>
    public void Reserve(long layerBytes, long logitsBytes)
    {
        foreach (Region region in _regions)
        {
            region.Reserve(layerBytes);
            region.Reserve(logitsBytes);
        }
    }

    /// <summary>An uninitialised tensor without gaps between its rows.</summary>
    public Tensor Rent(int rows, int columns, DType type = DType.F32) =>
        new(_regions[_current].Rent((long)type.Size() * rows * columns), rows, columns, columns, type);

    /// <summary>Moves to the region that the layer before the last one used.</summary>
    public void BeginLayer()
    {
        _current ^= 1;
        _regions[_current].Reset();
    }

    public void ResetStep()
    {
        _current = 0;
        _regions[0].Reset();
        _regions[1].Reset();
    }

    public void Dispose()
    {
        _regions[0].Dispose();
        _regions[1].Dispose();
    }

    private sealed class Region(Func<long, ArenaChunk> allocate, int alignment) : IDisposable
    {
        private readonly List<ArenaChunk> _chunks = [];
        private int _chunk;
        private long _offset;

        public void Reserve(long bytes)
        {
            if (!_chunks.Exists(chunk => chunk.ByteLength >= bytes))
            {
                _chunks.Add(allocate(bytes));
            }
        }

        public nint Rent(long bytes)
        {
            long size = (bytes + alignment - 1) & -alignment;
            while (_chunk < _chunks.Count && size > _chunks[_chunk].ByteLength - _offset)
            {
                _chunk++;
                _offset = 0;
            }
            if (_chunk == _chunks.Count)
            {
                _chunks.Add(allocate(Math.Max(size, MinimumChunkBytes)));
            }
            nint start = _chunks[_chunk].Address + (nint)_offset;
            _offset += size;
            return start;
        }

        public void Reset()
        {
            _chunk = 0;
            _offset = 0;
        }

        public void Dispose() => _chunks.ForEach(chunk => chunk.Owner?.Dispose());
    }
}
