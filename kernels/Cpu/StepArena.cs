namespace LlamaServe.Kernels.Cpu;

/// <summary>
/// Memory for the results of one step's operations. Two regions take turns, layer by layer: what one layer returned stays
/// valid through the next, then its region is used again. The same sequence of rents gets the same addresses.
/// </summary>
internal sealed unsafe class StepArena : IDisposable
{
    private const long MinimumChunkBytes = 1 << 20;

    private readonly Region[] _regions = [new(), new()];
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

    /// <summary>An uninitialised F32 tensor without gaps between its rows.</summary>
    public Tensor Rent(int rows, int columns) =>
        new((nint)_regions[_current].Rent(4L * rows * columns), rows, columns, columns, DType.F32);

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

    private sealed class Region : IDisposable
    {
        private readonly List<AlignedBuffer> _chunks = [];
        private int _chunk;
        private long _offset;

        public void Reserve(long bytes)
        {
            if (!_chunks.Exists(chunk => chunk.ByteLength >= bytes))
            {
                _chunks.Add(new AlignedBuffer(bytes));
            }
        }

        public byte* Rent(long bytes)
        {
            long size = AlignedBuffer.RoundUp(bytes);
            while (_chunk < _chunks.Count && size > _chunks[_chunk].ByteLength - _offset)
            {
                _chunk++;
                _offset = 0;
            }
            if (_chunk == _chunks.Count)
            {
                _chunks.Add(new AlignedBuffer(Math.Max(size, MinimumChunkBytes)));
            }
            byte* start = _chunks[_chunk].Bytes + _offset;
            _offset += size;
            return start;
        }

        public void Reset()
        {
            _chunk = 0;
            _offset = 0;
        }

        public void Dispose() => _chunks.ForEach(chunk => chunk.Dispose());
    }
}
