namespace LlamaServe.Engine;

/// <summary>Blocks a loop that has nothing to compute until a command comes, and sends one itself when a time-out is due.</summary>
internal sealed class IdleClock
{
    private readonly LoopContext _context;
    private readonly ITimer _timer;

    public IdleClock(LoopContext context)
    {
        _context = context;
        _timer = context.Time.CreateTimer(
            static state => ((LoopContext)state!).Post(new EngineCommand(EngineCommandKind.Tick)), context, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    public void WaitForCommand(LiveRequests live)
    {
        ValueTask<bool> command = _context.Commands.Reader.WaitToReadAsync();
        if (command.IsCompleted)
        {
            return;
        }
        long next = live.NextInstant(_context.SlowReaderTimeout);
        if (next != long.MaxValue)
        {
            double seconds = (next - _context.Time.GetTimestamp()) / (double)_context.Time.TimestampFrequency;
            _timer.Change(TimeSpan.FromSeconds(Math.Clamp(seconds, 0, TimeSpan.SecondsPerDay)), Timeout.InfiniteTimeSpan);
        }
        command.AsTask().GetAwaiter().GetResult();
    }

    public void Close() => _timer.Dispose();
}
