using Grpc.Core;
using Grpc.Core.Interceptors;

namespace LlamaServe.Server.Mapping;

/// <summary>Turns what nobody foresaw into INTERNAL without internals; the log has the rest.</summary>
internal sealed class FailureInterceptor(ILogger<FailureInterceptor> logger) : Interceptor
{
    public override async Task<TResponse> UnaryServerHandler<TRequest, TResponse>(
        TRequest request, ServerCallContext context, UnaryServerMethod<TRequest, TResponse> continuation)
    {
        try
        {
            return await continuation(request, context);
        }
        catch (Exception exception) when (exception is not RpcException)
        {
            throw Translate(exception, context);
        }
    }

    public override async Task ServerStreamingServerHandler<TRequest, TResponse>(
        TRequest request,
        IServerStreamWriter<TResponse> responseStream,
        ServerCallContext context,
        ServerStreamingServerMethod<TRequest, TResponse> continuation)
    {
        try
        {
            await continuation(request, responseStream, context);
        }
        catch (Exception exception) when (exception is not RpcException)
        {
            throw Translate(exception, context);
        }
    }

    // A write to a client that has gone throws whatever the transport throws; that is no fault of ours.
    private RpcException Translate(Exception exception, ServerCallContext context)
    {
        if (context.CancellationToken.IsCancellationRequested)
        {
            return StatusTable.Ended(Engine.Requests.FinishReason.Cancelled);
        }
        logger.CallFailed(context.Method, exception);
        return StatusTable.Unexpected();
    }
}
