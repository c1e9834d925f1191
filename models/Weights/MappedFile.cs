using System.IO.MemoryMappedFiles;

namespace LlamaServe.Models.Weights;

/// <summary>
/// A whole file mapped into memory for reading. The file must not be truncated while it is mapped: the operating system
/// answers a read beyond the new end with a signal, which no process survives.
/// </summary>
internal sealed class MappedFile : IDisposable
{
    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;

    private MappedFile(string name, long length, MemoryMappedFile file)
    {
        _file = file;
        _view = file.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);
        Name = name;
        Length = length;
        Address = _view.SafeMemoryMappedViewHandle.DangerousGetHandle() + (nint)_view.PointerOffset;
    }

    /// <summary>File name without folder.</summary>
    public string Name { get; }

    public long Length { get; }

    /// <summary>Address of byte 0; valid until <see cref="Dispose"/>.</summary>
    public nint Address { get; }

    /// <exception cref="CheckpointException">The file is absent, empty or unreadable.</exception>
    public static MappedFile Open(string path)
    {
        string name = Path.GetFileName(path);
        try
        {
            FileStream stream = new(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
            long length = stream.Length;
            if (length == 0)
            {
                stream.Dispose();
                throw new CheckpointException(name, "the file is empty");
            }
            return new MappedFile(name, length, MemoryMappedFile.CreateFromFile(
                stream, mapName: null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: false));
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new CheckpointException(name, "the file does not exist", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException(name, "the file cannot be read", e);
        }
    }

    /// <summary>Copies bytes out of the file.</summary>
    /// <exception cref="CheckpointException">The range is not inside the file.</exception>
    public void Read(long offset, Span<byte> destination)
    {
        if (offset < 0 || offset > Length - destination.Length)
        {
            throw new CheckpointException(Name, $"the file is truncated: {destination.Length} bytes at {offset} are beyond its end");
        }
        _view.SafeMemoryMappedViewHandle.ReadSpan((ulong)(offset + _view.PointerOffset), destination);
    }

    public void Dispose()
    {
        _view.Dispose();
        _file.Dispose();
    }
}
