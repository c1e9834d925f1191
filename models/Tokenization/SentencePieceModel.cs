using LlamaServe.Models.Weights;

namespace LlamaServe.Models.Tokenization;

/// <summary>Reads SentencePiece's tokenizer.model with a BPE model, as Llama 2 and Mistral ship it.</summary>
/// <seealso href="https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto"/>
internal sealed class SentencePieceModel
{
    private const int MaxBytes = 1 << 26;
    private const int Bpe = 2;

    private readonly SentencePieces _pieces;
    private readonly string _fileName;
    private int _modelType = 1;
    private bool _whitespaceIsSuffix;
    private int _unknownId;
    private int _bosId = 1;
    private int _eosId = 2;
    private int _padId = -1;
    private bool _hasCharacterMap;
    private bool _addDummyPrefix = true;
    private bool _removeExtraWhitespaces = true;
    private bool _escapeWhitespaces = true;

    private SentencePieceModel(string fileName) => (_fileName, _pieces) = (fileName, new SentencePieces(fileName));

    /// <exception cref="CheckpointException">The file is damaged or uses a part that is not supported.</exception>
    public static Tokenizer Load(string path, TokenizerConfig config)
    {
        using MappedFile file = MappedFile.Open(path);
        if (file.Length > MaxBytes)
        {
            throw new CheckpointException(file.Name, $"{file.Length} bytes are more than the {MaxBytes} allowed");
        }
        byte[] bytes = new byte[file.Length];
        file.Read(0, bytes);
        SentencePieceModel model = new(file.Name);
        model.Read(new ProtobufReader(file.Name, bytes));
        return model.Build(config);
    }

    private void Read(ProtobufReader model)
    {
        while (model.Next())
        {
            switch (model.Field)
            {
                case 1: ReadPiece(model.Message); break;
                case 2: ReadTrainer(model.Message); break;
                case 3: ReadNormalizer(model.Message); break;
            }
        }
        if (_modelType != Bpe)
        {
            throw new CheckpointException(_fileName, $"is a SentencePiece model of type {_modelType}; supported is {Bpe}, BPE");
        }
        if (_hasCharacterMap || _whitespaceIsSuffix || !_escapeWhitespaces)
        {
            throw new CheckpointException(_fileName, "normalizes text in a way that is not supported");
        }
        if (_pieces.Count == 0)
        {
            throw new CheckpointException(_fileName, "has no tokens");
        }
    }

    private void ReadPiece(ProtobufReader piece)
    {
        string text = "";
        float score = 0;
        SentencePieces.PieceKind kind = SentencePieces.PieceKind.Normal;
        while (piece.Next())
        {
            switch (piece.Field)
            {
                case 1: text = piece.Text; break;
                case 2: score = piece.Single; break;
                case 3: kind = (SentencePieces.PieceKind)piece.Int32; break;
            }
        }
        _pieces.Add(text, score, kind);
    }

    private void ReadTrainer(ProtobufReader trainer)
    {
        while (trainer.Next())
        {
            switch (trainer.Field)
            {
                case 3: _modelType = trainer.Int32; break;
                case 24: _whitespaceIsSuffix = trainer.Boolean; break;
                case 40: _unknownId = trainer.Int32; break;
                case 41: _bosId = trainer.Int32; break;
                case 42: _eosId = trainer.Int32; break;
                case 43: _padId = trainer.Int32; break;
            }
        }
    }

    private void ReadNormalizer(ProtobufReader normalizer)
    {
        while (normalizer.Next())
        {
            switch (normalizer.Field)
            {
                case 2: _hasCharacterMap = !normalizer.Bytes.IsEmpty; break;
                case 3: _addDummyPrefix = normalizer.Boolean; break;
                case 4: _removeExtraWhitespaces = normalizer.Boolean; break;
                case 5: _escapeWhitespaces = normalizer.Boolean; break;
            }
        }
    }

    private Tokenizer Build(TokenizerConfig config)
    {
        SpecialTokens special = new(InVocabulary(_bosId), InVocabulary(_eosId), InVocabulary(_unknownId), InVocabulary(_padId));
        return SentencePieceTokenizer.Build(_pieces, special, config.AddedTokens, new SentencePieceTokenizer.Options(
            AddBos: config.AddBos ?? true, AddEos: config.AddEos ?? false, _addDummyPrefix, _removeExtraWhitespaces));
    }

    private int? InVocabulary(int id) => id >= 0 && id < _pieces.Count ? id : null;
}
