using System.Runtime.InteropServices;

namespace LlamaServe.Kernels.Cpu;

/// <summary>A weight matrix [Rows, Columns] of one format in panels, in memory of its own.</summary>
internal sealed unsafe class PackedMatrix : IDisposable
{
    private readonly HugePageSlab _slab;
    private byte* _address;

    private PackedMatrix(WeightFormat format, int rows, int columns)
    {
        Format = format;
        Rows = rows;
        Columns = columns;
        Layout = PanelLayout.Of(format);
        (nint address, _slab) = HugePageSlab.Rent(ByteLength);
        _address = (byte*)address;
    }

    ~PackedMatrix() => Free();

    public WeightFormat Format { get; }

    public PanelLayout Layout { get; }

    public int Rows { get; }

    public int Columns { get; }

    public int Steps => Layout.Steps(Columns);

    public int Panels => (Rows + PanelLayout.PanelRows - 1) / PanelLayout.PanelRows;

    public long PanelBytes => (long)Steps * Layout.StepBytes;

    public long ByteLength => Panels * PanelBytes;

    /// <summary>Bit i: row i of the last panel exists.</summary>
    public long LastPanelMask => (1L << Rows - (Panels - 1) * PanelLayout.PanelRows) - 1;

    /// <summary>Copies the stacked rows of <paramref name="parts"/> into panels, on all threads of the pool.</summary>
    /// <param name="parts">At least one, of equal column count and equal format of panels.</param>
    /// <exception cref="ArgumentException">The parts do not stack, or a row is not a whole number of the format's blocks.</exception>
    public static PackedMatrix Create(WorkerPool pool, ReadOnlySpan<WeightData> parts)
    {
        foreach (WeightData part in parts)
        {
            Check(part, parts[0]);
        }

        var matrix = new PackedMatrix(ScaledRow.PanelFormat(parts[0]), WeightRow.Count(parts), parts[0].Columns);
        pool.Run(new PackJob(matrix, parts.ToArray()), matrix.Panels);
        return matrix;
    }

    /// <summary>First byte of a panel.</summary>
    public byte* Panel(int panel) => _address + panel * PanelBytes;

    /// <summary>The elements of one row as F32.</summary>
    /// <param name="row">0 … <see cref="Rows"/> − 1.</param>
    /// <param name="values">Receives <see cref="Columns"/> elements.</param>
    public void DecodeRow(int row, float* values) =>
        PanelDecoder.Decode(Format, Panel(row / PanelLayout.PanelRows), row % PanelLayout.PanelRows, Columns, values);

    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private static void Check(WeightData part, WeightData first)
    {
        if (ScaledRow.PanelFormat(part) != ScaledRow.PanelFormat(first) || part.Columns != first.Columns)
        {
            throw new ArgumentException($"'{part.Name}' ({part.Format}, {part.Columns} columns) does not stack below '{first.Name}' ({first.Format}, {first.Columns} columns).");
        }

        if (part.Rows < 1 || part.Columns < 1 || part.Columns % part.Format.BlockElements() != 0)
        {
            throw new ArgumentException($"'{part.Name}' is [{part.Rows}, {part.Columns}]; {part.Format} rows are a multiple of {part.Format.BlockElements()} long.");
        }
    }

    private void Free()
    {
        if (_address != null)
        {
            _address = null;
            _slab.Return();
        }
    }

    private readonly struct PackJob(PackedMatrix matrix, WeightData[] parts) : IChunkedJob
    {
        public void Execute(int chunk)
        {
            byte* panel = matrix.Panel(chunk);
            NativeMemory.Clear(panel, (nuint)matrix.PanelBytes);
            Span<nint> rows = stackalloc nint[PanelLayout.PanelRows];
            int first = chunk * PanelLayout.PanelRows;
            int count = Math.Min(PanelLayout.PanelRows, matrix.Rows - first);
            int block = matrix.Format.BlockElements(), columns = (matrix.Columns + block - 1) / block * block;
            long rowBytes = matrix.Format.Bytes(columns);
            byte* converted = (byte*)NativeMemory.Alloc((nuint)(HasSeparateScales() ? rowBytes * count : 1));
            for (int i = 0; i < count; i++)
            {
                WeightRow row = WeightRow.Of(parts, first + i);
                rows[i] = (nint)row.Elements;
                if (row.Data.Format.HasSeparateScales())
                {
                    rows[i] = (nint)(converted + i * rowBytes);
                    ScaledRow.Convert(row, matrix.Format, (byte*)rows[i]);
                }
            }

            PanelPacker.Pack(matrix.Format, rows[..count], columns, panel);
            NativeMemory.Free(converted);
        }

        private bool HasSeparateScales() => Array.Exists(parts, part => part.Format.HasSeparateScales());
    }
}
