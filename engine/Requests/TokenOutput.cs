using System.Diagnostics.CodeAnalysis;
using System.Threading.Channels;

namespace LlamaServe.Engine.Requests;

/// <summary>
/// A request's way out: a bounded channel whose reader can be behind. The loop asks for room before it computes a token, so
/// a write never fails; when there is too little it pauses the request, and the reader wakes it once half is read.
/// </summary>
internal sealed class TokenOutput : ChannelReader<GeneratedToken>
{
    private readonly Channel<GeneratedToken> _channel;
    private readonly int _capacity;
    private readonly Action _resume;
    private long _written;
    private long _read;
    private int _isWaiting;

    /// <param name="buffer">Tokens that may wait.</param>
    /// <param name="samples">Samples of the request: each may add a token of a step under way and a last message to a full buffer.</param>
    /// <param name="resume">Called by a reader when a waiting writer has room again.</param>
    public TokenOutput(int buffer, int samples, Action resume)
    {
        _capacity = buffer + 3 * samples;
        _resume = resume;
        _channel = Channel.CreateBounded<GeneratedToken>(new BoundedChannelOptions(_capacity) { SingleWriter = true });
    }

    public override Task Completion => _channel.Reader.Completion;

    public override bool CanCount => true;

    public override int Count => _channel.Reader.Count;

    public override bool CanPeek => true;

    public override bool TryPeek([MaybeNullWhen(false)] out GeneratedToken item) => _channel.Reader.TryPeek(out item);

    public override ValueTask<bool> WaitToReadAsync(CancellationToken cancellationToken = default) =>
        _channel.Reader.WaitToReadAsync(cancellationToken);

    public override bool TryRead([MaybeNullWhen(false)] out GeneratedToken item)
    {
        if (!_channel.Reader.TryRead(out item))
        {
            return false;
        }
        Interlocked.Increment(ref _read);
        if (Volatile.Read(ref _isWaiting) == 1 && Room >= _capacity / 2 && Interlocked.Exchange(ref _isWaiting, 0) == 1)
        {
            _resume();
        }
        return true;
    }

    /// <summary>Whether two steps, one of them under way, may add a token for each of <paramref name="samples"/> and leave room for their ends.</summary>
    public bool HasRoom(int samples) => Room >= 3 * samples;

    /// <summary>Asks to be called back once there is room; false when there is by now.</summary>
    public bool TryWaitForRoom(int samples)
    {
        Interlocked.Exchange(ref _isWaiting, 1);
        return !HasRoom(samples) || Interlocked.Exchange(ref _isWaiting, 0) == 0;
    }

    /// <summary>Adds a token; the caller has made sure of the room.</summary>
    public void Write(in GeneratedToken token)
    {
        if (!_channel.Writer.TryWrite(token))
        {
            throw new InvalidOperationException("a token was made for a full buffer");
        }
        Volatile.Write(ref _written, _written + 1);
    }

    public void Complete() => _channel.Writer.TryComplete();

    private long Room => _capacity - (Volatile.Read(ref _written) - Volatile.Read(ref _read));
}
