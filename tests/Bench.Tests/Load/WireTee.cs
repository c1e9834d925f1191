using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace LlamaServe.Bench.Tests.Load;

/// <summary>
/// Stands between a client that sends one request after another and a server, passes every byte on, and notes when bytes came by: of a request after they
/// arrive, of an answer before they go on. What the client sees of a request thus takes at least as long.
/// </summary>
internal sealed class WireTee : IAsyncDisposable
{
    private static readonly byte[] Token = "\"text\""u8.ToArray();

    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _running;
    private readonly Lock _lock = new();
    private readonly List<(long Asked, List<long> Tokens)> _requests = [];

    public WireTee(Uri server)
    {
        _listener.Start();
        Endpoint = new UriBuilder(server) { Port = ((IPEndPoint)_listener.LocalEndpoint).Port }.Uri;
        _running = RunAsync(server, _stop.Token);
    }

    /// <summary>The server's, by way of here.</summary>
    public Uri Endpoint { get; }

    /// <summary>Of each request in order: when its first bytes came by, and when each token did. Ticks of <see cref="Stopwatch"/>.</summary>
    public IReadOnlyList<(long Asked, List<long> Tokens)> Requests => _requests;

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _running;
        _listener.Dispose();
        _stop.Dispose();
    }

    private async Task RunAsync(Uri server, CancellationToken cancellationToken)
    {
        List<Task> connections = [];
        try
        {
            while (true)
            {
                connections.Add(ConnectAsync(await _listener.AcceptTcpClientAsync(cancellationToken), server, cancellationToken));
            }
        }
        catch (OperationCanceledException)
        {
            await Task.WhenAll(connections);
        }
    }

    private async Task ConnectAsync(TcpClient accepted, Uri server, CancellationToken cancellationToken)
    {
        try
        {
            using TcpClient client = accepted, target = new();
            await target.ConnectAsync(server.Host, server.Port, cancellationToken);
            client.NoDelay = target.NoDelay = true;
            await Task.WhenAny(
                PassAsync(client.GetStream(), target.GetStream(), NoteRequest, cancellationToken),
                PassAsync(target.GetStream(), client.GetStream(), NoteAnswer, cancellationToken));
        }
        catch (Exception exception) when (exception is OperationCanceledException or IOException)
        {
            // One side has gone.
        }
    }

    private static async Task PassAsync(NetworkStream from, NetworkStream to, Action<byte[], int> note, CancellationToken cancellationToken)
    {
        byte[] buffer = new byte[1 << 16];
        while (await from.ReadAsync(buffer, cancellationToken) is > 0 and var count)
        {
            note(buffer, count);
            await to.WriteAsync(buffer.AsMemory(0, count), cancellationToken);
        }
    }

    // Headers and body may come apart: a request begins where the one before has tokens.
    private void NoteRequest(byte[] bytes, int count)
    {
        lock (_lock)
        {
            if (_requests.Count == 0 || _requests[^1].Tokens.Count > 0)
            {
                _requests.Add((Stopwatch.GetTimestamp(), []));
            }
        }
    }

    private void NoteAnswer(byte[] bytes, int count)
    {
        lock (_lock)
        {
            long now = Stopwatch.GetTimestamp();
            for (int at = 0, next; (next = bytes.AsSpan(at, count - at).IndexOf(Token)) >= 0; at += next + Token.Length)
            {
                _requests[^1].Tokens.Add(now);
            }
        }
    }
}
