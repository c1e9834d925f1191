using LlamaServe.Models.Weights;
using static LlamaServe.Models.Tokenization.SplitPattern;

namespace LlamaServe.Models.Tokenization;

/// <summary>
/// Compiles the part of regular expressions that pre-tokenizers use: alternatives, groups (also <c>(?i:…)</c> and
/// optional ones), classes with categories, quantifiers on single code points, one-code-point look-ahead, <c>$</c>.
/// </summary>
internal sealed class SplitPatternParser(string source, string pattern)
{
    private const int MaxInstructions = 1024;
    private const int MaxDepth = 16;

    private readonly List<Instruction> _program = [];
    private int _position;
    private int _depth;
    private bool _ignoreCase;

    /// <exception cref="CheckpointException">The pattern uses something else.</exception>
    public Instruction[] Parse()
    {
        Alternatives();
        if (_position < pattern.Length)
        {
            throw Unsupported();
        }
        Emit(new Instruction(Operation.Match));
        return [.. _program];
    }

    private bool More => _position < pattern.Length && pattern[_position] is not ('|' or ')');

    private void Alternatives()
    {
        if (++_depth > MaxDepth)
        {
            throw Unsupported();
        }
        List<int> jumps = [];
        int choice = Emit(new Instruction(Operation.Try));
        Sequence();
        while (Accept("|"))
        {
            jumps.Add(Emit(new Instruction(Operation.Jump)));
            PointHere(choice);
            choice = Emit(new Instruction(Operation.Try));
            Sequence();
        }
        _program[choice] = new Instruction(Operation.Jump, Target: choice + 1);
        jumps.ForEach(PointHere);
        _depth--;
    }

    private void Sequence()
    {
        while (More)
        {
            if (Accept("(?!"))
            {
                LookAhead(Operation.NotFollowed);
            }
            else if (Accept("(?="))
            {
                LookAhead(Operation.Followed);
            }
            else if (Accept("(?i:"))
            {
                Group(ignoreCase: true);
            }
            else if (Accept("(?:") || Accept("("))
            {
                Group(_ignoreCase);
            }
            else if (Accept("$"))
            {
                Emit(new Instruction(Operation.End));
            }
            else
            {
                Repetition();
            }
        }
    }

    private void LookAhead(Operation operation)
    {
        Emit(new Instruction(operation, Class()));
        Demand(")");
    }

    private void Group(bool ignoreCase)
    {
        bool outer = _ignoreCase;
        _ignoreCase = ignoreCase;
        int optional = Emit(new Instruction(Operation.Try));
        Alternatives();
        Demand(")");
        _ignoreCase = outer;
        if (Accept("?"))
        {
            PointHere(optional);
        }
        else
        {
            _program[optional] = new Instruction(Operation.Jump, Target: optional + 1);
        }
        if (_position < pattern.Length && pattern[_position] is '*' or '+' or '?' or '{')
        {
            throw Unsupported();
        }
    }

    private void Repetition()
    {
        CodePointClass set = Class();
        int min = 1, max = 1;
        bool repeated = true;
        if (Accept("?"))
        {
            min = 0;
        }
        else if (Accept("*"))
        {
            (min, max) = (0, int.MaxValue);
        }
        else if (Accept("+"))
        {
            max = int.MaxValue;
        }
        else if (Accept("{"))
        {
            min = Number();
            max = !Accept(",") ? min : _position < pattern.Length && pattern[_position] == '}' ? int.MaxValue : Number();
            Demand("}");
        }
        else
        {
            repeated = false;
        }
        bool possessive = repeated && Accept("+");
        if (max < min || (_position < pattern.Length && pattern[_position] is '?' or '*' or '+'))
        {
            throw Unsupported();
        }
        Emit(new Instruction(Operation.Take, set, min, max, Possessive: possessive));
    }

    private CodePointClass Class() => new CodePointClassParser(source, pattern, _ignoreCase).Parse(ref _position);

    private int Number()
    {
        int begin = _position;
        while (_position < pattern.Length && char.IsAsciiDigit(pattern[_position]))
        {
            _position++;
        }
        return int.TryParse(pattern.AsSpan(begin, _position - begin), out int value) ? value : throw Unsupported();
    }

    private int Emit(Instruction instruction)
    {
        _program.Add(instruction);
        return _program.Count <= MaxInstructions ? _program.Count - 1 : throw Unsupported();
    }

    private void PointHere(int instruction) => _program[instruction] = _program[instruction] with { Target = _program.Count };

    private bool Accept(string token)
    {
        bool found = string.CompareOrdinal(pattern, _position, token, 0, token.Length) == 0;
        _position += found ? token.Length : 0;
        return found;
    }

    private void Demand(string token)
    {
        if (!Accept(token))
        {
            throw Unsupported();
        }
    }

    private CheckpointException Unsupported() => CodePointClassParser.Unsupported(source, pattern, _position);
}
